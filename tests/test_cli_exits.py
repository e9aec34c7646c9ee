"""brokerctl's exit statuses, and what it says with each: the contract scripts rely on."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from queue import Queue
from typing import Any

import pytest
from tests.scripted_daemon import (
    Error,
    ScriptedDaemon,
    hang_up,
    order,
    raw,
    reply,
    stay_silent,
)

from brokerd.cli import main
from brokerd.cli.errors import Exit

SUBMIT = ["submit", "BTCUSDT", "buy", "0.01", "--px", "39400"]


def run(script: dict[str, Any], *argv: str) -> tuple[int, ScriptedDaemon]:
    with ScriptedDaemon(script) as daemon:
        return main(["--socket", daemon.path, *argv]), daemon


def test_0_when_the_daemon_did_it(capsys: pytest.CaptureFixture[str]) -> None:
    status, _ = run({"order.submit": order()}, *SUBMIT)
    out, err = capsys.readouterr()
    assert (status, err) == (Exit.DONE, "")
    assert out.startswith('{"cl_ord_id":"a-1",')


def test_1_when_the_daemon_said_no_with_its_reason_and_hint(
    capsys: pytest.CaptureFixture[str],
) -> None:
    no = Error(105, "qty must be above 0", reason="not_positive", hint="send more")
    status, _ = run({"order.submit": no}, *SUBMIT)
    out, err = capsys.readouterr()
    assert (status, out) == (Exit.REFUSED, "")
    assert err == "brokerctl: qty must be above 0 [105 not_positive]\n  send more\n"


def test_a_hint_already_in_the_sentence_is_not_said_twice(
    capsys: pytest.CaptureFixture[str],
) -> None:
    run({"order.submit": Error(105, "no (send more)", hint="send more")}, *SUBMIT)
    assert capsys.readouterr().err.count("send more") == 1


def test_1_when_the_venue_rejected_the_order(capsys: pytest.CaptureFixture[str]) -> None:
    rejected = order(status="CLOSED", ord_status="rejected", reason="insufficient balance")
    status, _ = run({"order.submit": rejected}, *SUBMIT, "--wait", "venue")
    out, err = capsys.readouterr()
    assert status == Exit.REFUSED
    assert '"ord_status":"rejected"' in out
    assert "insufficient balance" in err


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (["ordrs"], "did you mean orders?"),
        (["cancel_all"], "did you mean cancel-all?"),
        (["orders", "--status", "CANECELLED"], "did you mean CANCELLED?"),
        (["submit", "BTCUSDT", "bye", "1"], "did you mean buy?"),
        (["submit", "BTCUSDT"], "SIDE, QTY"),
        (["orders", "--group", "alice"], "KEY=VALUE"),
        (["orders", "--since", "yesterday"], "not a time"),
        (["orders", "--last", "1h", "--since", "2026-01-01"], "exclude each other"),
        (["orders", "--time-by", "closed"], "--time-by needs"),
        (["orders", "--status", "filled"], "say --ord-status filled"),
        (["orders", "--status", "canceled"], "did you mean CANCELLED?"),
        (["--timeout", "0", "status"], "seconds above 0"),
        (["--timeout", "nan", "status"], "seconds above 0"),
        (["replace", "a-1"], "--qty, --px or both"),
        (["tail", "--after-seq", "-1"], "whole number"),
        (["call", "order.get", "cl_ord_id"], "KEY=VALUE"),
        (["call", "order.get", "n:=x"], "not JSON"),
        (["call", "order.get", "--params", "[]"], "not a JSON object"),
        (["journal", "verify", "j.db", "--config", "c.toml"], "exclude each other"),
        (["journal", "verify", "/nowhere/j.db"], "no journal at"),
        ([], "which command?"),
    ],
)
def test_2_for_a_wrong_command_line_that_says_what_is_right(
    argv: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--socket", "/nowhere/at/all", *argv]) == Exit.USAGE
    out, err = capsys.readouterr()
    assert out == ""
    assert says in err
    assert len(err.splitlines()) <= 2


def test_3_when_nobody_listens(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["--socket", str(tmp_path / "none"), *SUBMIT]) == Exit.UNREACHABLE
    assert "brokerd run" in capsys.readouterr().err


def test_3_when_the_socket_is_a_dead_daemons(tmp_path: Path) -> None:
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    assert main(["--socket", str(path), *SUBMIT]) == Exit.UNREACHABLE


def test_3_when_the_path_is_longer_than_a_socket_can_have(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["--socket", "/" + "x" * 120, "status"]) == Exit.UNREACHABLE
    assert "too long" in capsys.readouterr().err


@pytest.mark.parametrize(
    "misbehaviour",
    [hang_up, stay_silent, raw(b"garbage\n"), raw(b"[1]\n"), raw(b'{"id":99,"result":1}\n')],
    ids=["hangs up", "stays silent", "not JSON", "not an object", "another's answer"],
)
class TestNoUsableAnswer:
    def test_is_3_for_a_question(self, misbehaviour: Any) -> None:
        script = {"daemon.info": misbehaviour}
        assert run(script, "--timeout", "0.1", "status")[0] == Exit.UNREACHABLE

    def test_is_4_for_a_change_and_names_the_order_and_the_way_out(
        self, misbehaviour: Any, capsys: pytest.CaptureFixture[str]
    ) -> None:
        status, daemon = run({"order.submit": misbehaviour}, "--timeout", "0.1", *SUBMIT)
        cl_ord_id = daemon.params("order.submit")[0]["cl_ord_id"]
        out, err = capsys.readouterr()
        assert (status, out) == (Exit.UNKNOWN, "")
        assert f"brokerctl order {cl_ord_id}" in err
        assert f"--id {cl_ord_id} is safe" in err


@pytest.mark.parametrize(
    ("argv", "method", "way_out"),
    [
        (["cancel", "a-1"], "order.cancel", "brokerctl order a-1"),
        (["replace", "a-1", "--px", "1"], "order.replace", "brokerctl order a-1"),
        (["resolve", "a-1", "done", "--reason", "r"], "order.resolve", "brokerctl order a-1"),
        (["thaw", "paper", "--reason", "r"], "executor.thaw", "brokerctl executors"),
        (["cancel-all", "--yes"], "order.cancel_all", "brokerctl orders --status OPEN"),
        (["call", "order.cancel", "cl_ord_id=a-1"], "order.cancel", "brokerctl order a-1"),
        (["call", "daemon.stop"], "daemon.stop", "brokerctl orders --last 5m"),
    ],
)
def test_4_for_every_change_that_goes_unanswered(
    argv: list[str], method: str, way_out: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run({method: hang_up}, *argv)[0] == Exit.UNKNOWN
    assert way_out in capsys.readouterr().err


def test_3_for_a_question_by_call() -> None:
    assert run({"order.get": hang_up}, "call", "order.get", "cl_ord_id=a")[0] == Exit.UNREACHABLE


def test_4_when_the_daemon_itself_is_in_doubt(capsys: pytest.CaptureFixture[str]) -> None:
    status, _ = run({"order.cancel": Error(202, "no answer from the venue")}, "cancel", "a-1")
    assert status == Exit.UNKNOWN
    assert "brokerctl order a-1" in capsys.readouterr().err


def test_4_when_the_order_that_comes_back_is_in_doubt(capsys: pytest.CaptureFixture[str]) -> None:
    status, _ = run({"order.submit": order(in_doubt=True)}, *SUBMIT, "--wait", "venue")
    out, err = capsys.readouterr()
    assert status == Exit.UNKNOWN
    assert '"in_doubt":true' in out
    assert "brokerctl order --check a-1" in err


def test_6_when_the_daemon_does_not_permit_it() -> None:
    no = Error(400, "only its owner may stop the daemon")
    assert run({"daemon.stop": no}, "call", "daemon.stop")[0] == Exit.FORBIDDEN


def test_6_when_the_socket_may_not_be_opened(capsys: pytest.CaptureFixture[str]) -> None:
    with ScriptedDaemon({}) as daemon:
        user = os.geteuid()
        main(["--socket", "/nowhere", *SUBMIT])  # loads the module while we may
        Path(daemon.path).chmod(0o000)
        if user == 0:
            os.seteuid(65534)
        try:
            status = main(["--socket", daemon.path, *SUBMIT])
        finally:
            os.seteuid(user)
    assert status == Exit.FORBIDDEN
    assert f"may not open {daemon.path}" in capsys.readouterr().err


def test_one_refused_cancel_does_not_spare_the_others_and_decides_the_status(
    capsys: pytest.CaptureFixture[str],
) -> None:
    answers = [Error(102, "order a-1 is filled"), order("a-2"), order("a-3")]
    status, daemon = run({"order.cancel": answers}, "cancel", "a-1", "a-2", "a-3")
    out, err = capsys.readouterr()
    assert status == Exit.REFUSED
    assert [one["cl_ord_id"] for one in daemon.params("order.cancel")] == ["a-1", "a-2", "a-3"]
    assert (len(out.splitlines()), "a-1: order a-1 is filled" in err) == (2, True)


def test_an_unknown_outcome_outweighs_a_refusal() -> None:
    answers = [hang_up, Error(102, "filled")]
    assert run({"order.cancel": answers}, "cancel", "a-1", "a-2")[0] == Exit.UNKNOWN


@pytest.mark.parametrize("answer", [[], "pong", {"orders": "none"}, {"orders": [1, None]}])
def test_an_answer_of_the_wrong_shape_is_no_traceback(answer: object) -> None:
    status, _ = run({"order.list": lambda peer, request: reply(peer, request, answer)}, "orders")
    assert status in {Exit.DONE, Exit.REFUSED}


def brokerctl(*argv: str, **options: Any) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "brokerd.cli", *argv],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        **options,
    )


def test_a_reader_that_left_ends_it_quietly_like_any_tool_in_a_pipe() -> None:
    page = {"orders": [order(f"a-{i}") for i in range(1_000)], "next_cursor": None}
    with (
        ScriptedDaemon({"order.list": page}) as daemon,
        brokerctl("--socket", daemon.path, "orders") as process,
    ):
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        assert process.stderr.read() == b""
        assert process.wait(60) == Exit.BROKEN_PIPE


def test_a_full_disk_under_stdout_is_an_error_in_words() -> None:
    with ScriptedDaemon({"daemon.ping": "pong"}) as daemon, Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "brokerd.cli", "--socket", daemon.path, "call", "daemon.ping"],
            stdout=full,
            stderr=subprocess.PIPE,
            check=False,
            timeout=60,
        )
    assert done.returncode == Exit.REFUSED
    assert done.stderr == b"brokerctl: cannot write the output: No space left on device\n"


def test_130_when_interrupted_and_what_was_on_its_way_is_named() -> None:
    victims: Queue[subprocess.Popen[bytes]] = Queue()

    def interrupt(*_: object) -> None:
        victims.get(timeout=30).send_signal(signal.SIGINT)

    with ScriptedDaemon({"order.submit": interrupt}) as daemon:
        process = brokerctl("--socket", daemon.path, *SUBMIT)
        victims.put(process)
        with process:
            _, err = process.communicate(timeout=60)
        cl_ord_id = daemon.params("order.submit")[0]["cl_ord_id"]
    assert process.returncode == Exit.INTERRUPTED
    assert f"brokerctl order {cl_ord_id}" in err.decode()
    assert b"Traceback" not in err
