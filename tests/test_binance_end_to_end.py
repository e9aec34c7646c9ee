"""A real daemon on the Binance executor, against the local venue in a process of its own."""

import json
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from tests.daemon_process import PATIENCE_S, DaemonProcess, Message, Told, limit

KEY, SECRET = "e2e-api-key", "e2e-secret-value"


@contextmanager
def venue_process(*options: str) -> Iterator[Message]:
    """The venue's addresses by role."""
    command = [sys.executable, "-m", "brokerd_adapters.venue", "--dialect", "binance"]
    with subprocess.Popen([*command, *options], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        try:
            yield json.loads(process.stdout.readline())
        finally:
            process.terminate()


@pytest.fixture
def venue() -> Iterator[Message]:
    with venue_process("--key", KEY, "--secret", SECRET) as urls:
        yield urls


@pytest.fixture
def daemon(venue: Message, tmp_path: Path) -> Iterator[DaemonProcess]:
    with daemon_at(venue, tmp_path, f'secret = "{SECRET}"') as process:
        yield process


@contextmanager
def daemon_at(venue: Message, tmp_path: Path, key: str) -> Iterator[DaemonProcess]:
    credential = tmp_path / "main"
    credential.write_text(f'api_key = "{KEY}"\n{key}\n')
    credential.chmod(0o600)
    executor = {
        "adapter": "binance",
        "credential": "main",
        "rest_url": venue["rest"],
        "ws_api_url": venue["ws_api"],
        "stream_url": venue["streams"],
        "symbols": ["BTCUSDT"],
    }
    settings = {"credentials_dir": str(tmp_path)}
    with DaemonProcess(tmp_path / "state", daemon=settings, executor=executor) as process:
        yield process


def control(venue: Message, what: str) -> list[Message]:
    with urllib.request.urlopen(f"{venue['control']}/{what}", timeout=PATIENCE_S) as answer:
        told: list[Message] = json.load(answer)[what]
        return told


def accepted(venue: Message) -> dict[str, Message]:
    """Every order the venue ever accepted, by the client id it was placed under."""
    return {each["client_order_id"]: each for each in control(venue, "orders")}


def until_up(daemon: DaemonProcess) -> None:
    """Wait for the link: a daemon is ready once its venue has come up, or failed once."""
    give_up_s = time.monotonic() + PATIENCE_S
    while daemon.call("executor.list")["executors"][0]["state"] != "up":
        assert time.monotonic() < give_up_s
        time.sleep(0.02)


def until_order(daemon: DaemonProcess, cl_ord_id: str, **wanted: Any) -> Message:
    deadline_s = time.monotonic() + PATIENCE_S
    order: Message = {}
    while time.monotonic() < deadline_s:
        order = daemon.call("order.get", cl_ord_id=cl_ord_id)
        if all(order[name] == value for name, value in wanted.items()):
            return order
        time.sleep(0.02)
    raise AssertionError(f"{wanted}: {order}\n{daemon.log.read_text()[-4000:]}")


def test_orders_live_their_whole_life_and_outlive_the_daemon(
    venue: Message, daemon: DaemonProcess
) -> None:
    """Filled, amended, replaced, canceled; and after a kill the same orders are known again."""
    daemon.start()
    submit = {"wait": "venue", "timeout_s": 20}
    market = limit(ord_type="market", px=None) | {"qty": "0.02"}
    del market["px"]
    daemon.call("order.submit", cl_ord_id="taken", **market, **submit)
    filled = until_order(daemon, "taken", ord_status="filled")
    assert filled["cum_qty"] == "0.02"
    assert filled["executor_id"].startswith("binance:BTCUSDT-")
    assert filled["arrival"] is not None, "the market was in sight when it was sent"

    resting = daemon.call("order.submit", cl_ord_id="rests", **limit(qty="0.03"), **submit)
    assert resting["ord_status"] == "new"
    daemon.call("order.replace", cl_ord_id="rests", qty="0.02")
    amended = until_order(daemon, "rests", qty="0.02", request=None)
    assert amended["venue_order_id"] == resting["venue_order_id"], "an amend keeps the order"
    daemon.call("order.replace", cl_ord_id="rests", px="20100")
    replaced = until_order(daemon, "rests", px="20100", request=None)
    assert replaced["venue_order_id"] != resting["venue_order_id"]

    daemon.kill()
    daemon.start()
    assert daemon.call("order.get", cl_ord_id="rests")["ord_status"] == "new"
    daemon.call("order.cancel", cl_ord_id="rests")
    until_order(daemon, "rests", ord_status="canceled")
    fills = daemon.call("fill.list")["fills"]
    assert sum(Decimal(each["last_qty"]) for each in fills) == Decimal("0.02")

    orders = accepted(venue)
    assert len(orders) == 3, "one taken, one that rested, and the one that took its place"
    assert {each["ord_status"] for each in orders.values()} == {"filled", "canceled"}
    assert daemon.stop() == 0
    told = daemon.log.read_text()
    assert KEY not in told
    assert SECRET not in told


def test_what_the_venue_would_refuse_is_refused_with_what_would_do(daemon: DaemonProcess) -> None:
    daemon.start()
    until_up(daemon)
    with pytest.raises(Told) as caught:
        daemon.call("order.submit", cl_ord_id="x", **limit(px="20000.001"))
    assert caught.value.code == 105
    assert "20000 or 20000.01" in caught.value.data["hint"]
    (executor,) = daemon.call("executor.list")["executors"]
    assert executor["adapter"] == "binance"
    assert executor["state"] == "up"


def made(kind: str) -> tuple[str, str]:
    """Return a private key of a kind and its public half, as PEM."""
    key: rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey
    if kind == "rsa":
        key = rsa.generate_private_key(65537, 2048)
    else:
        key = ed25519.Ed25519PrivateKey.generate()
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return private.decode(), public.decode()


@pytest.mark.parametrize(("kind", "logons"), [("hmac", False), ("rsa", False), ("ed25519", True)])
def test_a_key_of_each_kind_trades_and_shows_nowhere(
    kind: str, tmp_path: Path, *, logons: bool
) -> None:
    """The venue checks every signature; the key that was registered is the only one it has."""
    options, key, hidden = ["--secret", SECRET], f'secret = "{SECRET}"', [SECRET]
    if kind != "hmac":
        private, public = made(kind)
        registered = tmp_path / "public.pem"
        registered.write_text(public)
        options = ["--secret", "another-secret", "--public-key", str(registered)]
        key, hidden = f'private_key = """{private}"""', private.splitlines()[1:-1]
    with (
        venue_process("--key", KEY, *options) as venue,
        daemon_at(venue, tmp_path, key) as daemon,
    ):
        daemon.start()
        taken = {"cl_ord_id": "x", "wait": "venue", "timeout_s": 20}
        assert daemon.call("order.submit", **limit(), **taken)["ord_status"] == "new"
        daemon.call("order.check", cl_ord_id="x")
        daemon.call("order.cancel", cl_ord_id="x")
        until_order(daemon, "x", ord_status="canceled")
        operations = {each["call"]["operation"] for each in control(venue, "requests")}
        assert {"place", "cancel", "query"} <= operations
        assert ("session_logon" in operations) == logons
        assert daemon.stop() == 0
        told = daemon.log.read_bytes() + daemon.journal.read_bytes()
        assert not [line for line in (KEY, *hidden) if line.encode() in told]
