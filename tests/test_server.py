"""The socket against rude, slow, broken and numerous bots: a real daemon, real connections."""

import asyncio
import json
import select
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any
from unittest.mock import AsyncMock

import pytest
from tests.daemon_process import (
    PATIENCE_S,
    Bot,
    DaemonProcess,
    HungUp,
    Message,
    Told,
    limit,
    request,
    running,
)
from tests.scripted import until

from brokerd.config.load import DaemonConfig
from brokerd.errors import ConfigError, Refused
from brokerd.outgoing import WRITE_BUFFER_BYTES
from brokerd.peer import BATCH_BYTES, Peer
from brokerd.rpc import BATCH_MAX, LINE_BYTES_MAX, Call
from brokerd.server import REFUSALS_EVERY_S, Server
from brokerd.socketfile import listening

STALL_S = 1


@pytest.fixture(scope="module")
def daemon() -> Iterator[DaemonProcess]:
    with running(daemon={"stall_s": STALL_S, "in_flight_max": 64}) as daemon:
        yield daemon


@pytest.fixture
def bot(daemon: DaemonProcess) -> Iterator[Bot]:
    with daemon.bot() as bot:
        yield bot


def line_of(length: int) -> bytes:
    """A ping of exactly so many bytes, newline included."""
    ping = json.dumps(request(1, "daemon.ping")).encode()
    return ping.replace(b" ", b" " * (length - len(ping)), 1) + b"\n"


@pytest.mark.parametrize("length", [LINE_BYTES_MAX - 1, LINE_BYTES_MAX])
def test_a_line_of_64_kib_is_answered(bot: Bot, length: int) -> None:
    line = line_of(length)
    assert len(line) == length
    bot.send_raw(line)
    assert bot.receive()["result"]["pong"]


def test_a_line_of_one_byte_more_is_told_why_and_cut_off(bot: Bot) -> None:
    bot.send_raw(line_of(LINE_BYTES_MAX + 1))
    told = bot.receive()
    assert (told["id"], told["error"]["code"]) == (None, -32600)
    assert told["error"]["data"]["reason"] == "line_too_long"
    assert bot.is_hung_up()


def test_a_line_without_an_end_is_cut_off_before_it_fills_memory(bot: Bot) -> None:
    bot.send_raw(b"[" * LINE_BYTES_MAX)
    assert bot.receive()["error"]["data"]["reason"] == "line_too_long"
    assert bot.is_hung_up()


def test_what_came_before_a_line_too_long_is_answered(bot: Bot) -> None:
    """More than may be in flight at once, and in one write with the line that ends it."""
    calls = [request(no, "order.submit", **limit(), wait="venue") for no in range(100)]
    bot.send_raw(lines_of(*calls) + line_of(LINE_BYTES_MAX + 1) + lines_of(request(100, "x")))
    told = [bot.receive() for _ in range(101)]
    (refused,) = [each for each in told if each["id"] is None]
    assert refused["error"]["data"]["reason"] == "line_too_long"
    assert {each["id"] for each in told if "result" in each} == set(range(100))
    assert bot.is_hung_up()


def test_a_last_line_without_its_newline_is_not_carried_out_and_told_so(bot: Bot) -> None:
    bot.send(request(1, "order.submit", **limit(), wait="venue"))
    bot.send_raw(json.dumps(request(2, "order.submit", **limit(cl_ord_id="half"))).encode())
    bot.socket.shutdown(socket.SHUT_WR)
    told = {each["id"]: each for each in (bot.receive(), bot.receive())}
    assert told[1]["result"]["ord_status"] == "new"
    assert told[None]["error"]["data"]["reason"] == "line_unfinished"
    assert bot.is_hung_up()


def test_a_batch_of_50_is_answered_and_one_of_51_or_none_is_refused_whole(bot: Bot) -> None:
    bot.send([request(no, "daemon.ping") for no in range(BATCH_MAX)])
    assert {each["id"] for each in bot.receive()} == set(range(BATCH_MAX))
    for messages in ([request(no, "daemon.ping") for no in range(BATCH_MAX + 1)], []):
        bot.send(messages)
        told = bot.receive()
        assert (told["id"], told["error"]["data"]["reason"]) == (None, "batch_size")
    assert bot.call("daemon.ping")["pong"]


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (b"[" * 30_000, -32700),
        (b'{"a":' * 10_000, -32700),
        (b'{"jsonrpc":"2.0","id":1,"method":"daemon.ping","params":%b}' % (b"[" * 30_000), -32700),
        (b'{"jsonrpc":"2.0","id":1,"method":"daemon.ping"', -32700),
        (b'{"jsonrpc":"2.0","id":1,"method":"daemon.ping"} x', -32700),
        (b'{"jsonrpc":"2.0","id":"\xff","method":"daemon.ping"}', -32700),
        (b'{"jsonrpc":"2.0","id":1,"method":"\xc3("}', -32700),
        (b'{"jsonrpc":"2.0","id":1,"method":"\\ud800"}', -32700),
        (b"\x00", -32700),
        (b"null", -32600),
        (b'"daemon.ping"', -32600),
        (b'{"jsonrpc":"2.0","id":{},"method":"daemon.ping"}', -32600),
        (b'{"jsonrpc":"2.0","id":[1],"method":"daemon.ping"}', -32600),
        (b'{"jsonrpc":"2.0","id":true,"method":"daemon.ping"}', -32600),
        (b'{"jsonrpc":"2.0","id":"%b","method":"daemon.ping"}' % (b"x" * 200), -32600),
        (b'{"jsonrpc":"1.0","id":1,"method":"daemon.ping"}', -32600),
        (b'{"jsonrpc":"2.0","id":1,"method":7}', -32600),
        (b'{"jsonrpc":"2.0","id":1,"method":"daemon.ping","params":[1]}', -32602),
        (b'{"jsonrpc":"2.0","id":1,"method":"daemon.ping","params":7}', -32602),
    ],
)
def test_what_is_no_call_is_told_so_and_the_connection_goes_on(
    bot: Bot, line: bytes, code: int
) -> None:
    bot.send_raw(line + b"\n")
    assert bot.receive()["error"]["code"] == code
    assert bot.call("daemon.ping")["pong"]


@pytest.mark.parametrize(
    "call_id", [b"0", b"-1", b"1.50", b"1e400", b'""', b'"\\u00e9 \xc3\xa9"', b"null", b"9" * 100]
)
def test_an_id_goes_back_byte_for_byte(bot: Bot, call_id: bytes) -> None:
    bot.send_raw(b'{"jsonrpc":"2.0","id":%b,"method":"daemon.ping"}\n' % call_id)
    assert b'"id":%b,"result"' % call_id in bot.receive_raw()


def test_empty_lines_and_carriage_returns_are_passed_over(bot: Bot) -> None:
    bot.send_raw(b'\n\r\n  \n{"jsonrpc":"2.0","id":1,"method":"daemon.ping"}\r\n')
    assert bot.receive()["result"]["pong"]


def test_a_line_that_drips_in_byte_by_byte_is_answered_and_holds_nobody_up(
    daemon: DaemonProcess, bot: Bot
) -> None:
    for byte in json.dumps(request(1, "daemon.ping")).encode() + b"\n":
        bot.send_raw(bytes([byte]))
        assert daemon.call("daemon.ping")["pong"]
    assert bot.receive()["result"]["pong"]


def test_a_bot_that_has_finished_speaking_still_gets_its_answers(
    daemon: DaemonProcess, bot: Bot
) -> None:
    for no in range(200):
        bot.send(request(no, "order.submit", **limit(cl_ord_id=f"half-{no}")))
    bot.socket.shutdown(socket.SHUT_WR)
    assert {bot.receive()["id"] for _ in range(200)} == set(range(200))
    assert bot.is_hung_up()


def test_a_bot_that_disconnects_in_mid_batch_leaves_its_orders_alive(
    daemon: DaemonProcess, bot: Bot
) -> None:
    group = {"test": "gone"}
    bot.call("order.submit", **limit(cl_ord_id="gone-0", group=group), wait="venue")
    bot.send([request(no, "order.submit", **limit(group=group)) for no in range(BATCH_MAX)])
    bot.close()
    with daemon.bot() as other:
        assert other.call("order.get", cl_ord_id="gone-0")["ord_status"] == "new"
        orders = other.call("order.list", group=group)["orders"]
        assert {each["status"] for each in orders} <= {"PENDING", "OPEN"}
        assert len(orders) in {1, 1 + BATCH_MAX}


def exchange(bot: Bot, lines: bytes, answers: int) -> list[Any]:
    """Send while reading, for neither side may wait for the other; return so many answers."""
    bot.socket.setblocking(False)
    rest, read = memoryview(lines), b""
    while read.count(b"\n") < answers:
        ready = select.select([bot.socket], [bot.socket] if rest else [], [], PATIENCE_S)
        assert any(ready), "the daemon went silent"
        if ready[1]:
            rest = rest[bot.socket.send(rest[: 1 << 16]) :]
        if ready[0]:
            data = bot.socket.recv(1 << 16)
            assert data, "the daemon hung up"
            read += data
    return [json.loads(line) for line in read.splitlines()]


def lines_of(*messages: object) -> bytes:
    return b"".join(json.dumps(message).encode() + b"\n" for message in messages)


def test_calls_above_the_limit_in_flight_wait_and_none_fails(bot: Bot) -> None:
    calls = [request(no, "order.submit", **limit()) for no in range(2_000)]
    told = exchange(bot, lines_of(*calls), len(calls))
    assert {each["id"] for each in told} == set(range(len(calls)))
    assert all("result" in each for each in told)


def test_batches_count_by_what_they_hold() -> None:
    """Counted as lines, these 10,000 calls would come at once and overflow the engine's inbox."""
    batch = [request(no, "order.cancel", cl_ord_id="nobody") for no in range(BATCH_MAX)]
    with running(daemon={"in_flight_max": 256, "inbox_max": 320}) as daemon, daemon.bot() as bot:
        told = exchange(bot, lines_of(batch) * 200, 200)
    assert {each["error"]["code"] for answers in told for each in answers} == {101}


def pings(bot: Bot, seconds: float) -> int:
    """Ask for so long; return how often there was an answer."""
    answered, end_s = 0, time.monotonic() + seconds
    while time.monotonic() < end_s:
        bot.call("daemon.ping")
        answered += 1
    return answered


def answered_until_cut_off(deaf: Bot, bot: Bot) -> int:
    """Ask for the one, who never reads; return how many answers the other got while it was stuck."""
    deaf.socket.setblocking(False)
    lines = lines_of(*[request(1, "executor.list")] * 100)
    answered, give_up_s = 0, time.monotonic() + PATIENCE_S
    while time.monotonic() < give_up_s:
        try:
            deaf.socket.send(lines)
        except BlockingIOError:
            answered += pings(bot, 0.05)
        except (BrokenPipeError, ConnectionResetError):
            return answered
    raise AssertionError("it is never cut off")


def test_a_bot_that_never_reads_is_cut_off_and_others_do_not_notice(
    daemon: DaemonProcess, bot: Bot
) -> None:
    with daemon.bot() as deaf:
        before = daemon.rss_bytes()
        began_s = time.monotonic()
        assert answered_until_cut_off(deaf, bot) >= 4, "others wait for the deaf one"
        assert time.monotonic() - began_s >= STALL_S
        assert daemon.rss_bytes() - before < 16 * WRITE_BUFFER_BYTES
    give_up_s = time.monotonic() + PATIENCE_S
    while not daemon.logged("bot_stalled"):  # lines are written beside the loop, a moment later
        assert time.monotonic() < give_up_s
        bot.call("daemon.ping")


def test_a_bot_that_has_finished_speaking_and_never_reads_is_cut_off(
    daemon: DaemonProcess, bot: Bot
) -> None:
    with daemon.bot() as half_closed:
        half_closed.send_raw(lines_of(*[request(1, "rpc.discover")] * 60))
        half_closed.socket.shutdown(socket.SHUT_WR)
        until_alone(bot)


def until_alone(bot: Bot) -> Message:
    """Return what the daemon says of itself once it has no other connection."""
    give_up_s = time.monotonic() + PATIENCE_S
    while (told := bot.call("daemon.info"))["connections"] > 1:
        assert time.monotonic() < give_up_s
    return told


def list_long(bot: Bot) -> None:
    """Have 2,000 orders: a page of 1,000 is a megabyte."""
    while bot.call("daemon.info")["orders"]["submitted"] < 2_000:
        bot.send([request(no, "order.submit", **limit()) for no in range(BATCH_MAX)])
        bot.receive()


def test_the_large_answers_of_one_batch_are_bounded(daemon: DaemonProcess, bot: Bot) -> None:
    """None goes out before all are made: 50 pages would be 50 MB at once."""
    list_long(bot)
    before = daemon.rss_bytes()
    asked = [request(no, "order.list", limit=1000) for no in range(BATCH_MAX - 1)]
    bot.send([*asked, request(BATCH_MAX, "order.submit", **limit())])
    *lists, submitted = sorted(bot.receive(), key=lambda each: int(each["id"]))
    made = [len(each["result"]["orders"]) for each in lists if "result" in each]
    refused = [each["error"]["data"]["reason"] for each in lists if "error" in each]
    assert set(made) == {1000}
    assert len(made) * 1000 * 500 < BATCH_BYTES + WRITE_BUFFER_BYTES
    assert refused == ["batch_answer_too_large"] * (len(asked) - len(made))
    assert "result" in submitted
    assert daemon.rss_bytes() - before < 8 * BATCH_BYTES


async def test_what_nobody_is_there_to_read_is_not_made(tmp_path: Path) -> None:
    """A bot that asks for much and is cut off would else be worked for by all its questions."""
    made: list[bytes | None] = []

    async def answer(call: Call, peer: Peer) -> bytes | None:
        with suppress(Refused):
            async with peer.turn():
                made.append(call.id)
                return b"x" * (WRITE_BUFFER_BYTES + 1)
        return None

    async with asyncio.TaskGroup() as group:
        server = Server(answer, lambda *_: False, DaemonConfig(), group)
        async with listening(tmp_path / "socket", server):
            _, writer = await asyncio.open_unix_connection(str(tmp_path / "socket"), limit=1)
            writer.write(lines_of(*[request(no, "list") for no in range(10)]))
            await until(lambda: bool(made), "the first is made")
            (connection,) = server.connections
            connection._out._give_up()
            await until(lambda: not server.connections, "the connection is lost")
            await until(lambda: not server._under_way, "all calls have ended")
            writer.close()
    assert len(made) < 4


def test_descriptions_that_nobody_reads_are_not_made() -> None:
    with running(daemon={"in_flight_max": 1024}) as daemon, daemon.bot() as bot:
        bot.call("rpc.discover")
        before = daemon.rss_bytes()
        with daemon.bot() as deaf:
            deaf.send_raw(lines_of(*[request(1, "rpc.discover")] * 1024))
            pings(bot, 0.5)
            assert daemon.rss_bytes() - before < 16 << 20


def test_large_answers_that_nobody_reads_are_not_made(daemon: DaemonProcess) -> None:
    """64 pages of 1,000 orders are 60 MB: they wait as questions, not as answers."""
    with daemon.bot() as bot:
        list_long(bot)
        bot.call("order.list", limit=1000)
        before = daemon.rss_bytes()
        with daemon.bot() as deaf:
            for _ in range(64):
                deaf.ask("order.list", limit=1000)
            pings(bot, STALL_S / 2)
            assert daemon.rss_bytes() - before < 16 << 20


def test_the_bot_that_is_one_too_many_is_told_busy_and_cut_off() -> None:
    with running(daemon={"connections_max": 256}) as daemon:
        bots = [daemon.bot() for _ in range(256)]
        assert all(bot.call("daemon.ping")["pong"] for bot in bots)
        with daemon.bot() as surplus:
            assert surplus.receive()["error"]["code"] == 303
            assert surplus.is_hung_up()
        bots.pop().close()
        # Its place is free as soon as the daemon has seen the end.
        while True:
            with daemon.bot() as next_one:
                try:
                    assert next_one.call("daemon.ping")["pong"]
                    break
                except (HungUp, AssertionError):
                    continue
        for bot in bots:
            bot.close()


def test_bots_do_not_use_up_the_files_that_journal_and_venues_need() -> None:
    """A shell allows 1,024 files at first, whatever it may allow."""
    with running(daemon={"connections_max": 400}, under=("prlimit", "--nofile=256:1024")) as daemon:
        with ExitStack() as stack:
            bots = [stack.enter_context(daemon.bot()) for _ in range(400)]
            assert all(bot.call("daemon.ping")["pong"] for bot in bots)
            assert bots[0].call("order.submit", **limit(), wait="venue")["ord_status"] == "new"
            assert bots[0].call("stats.get")
        assert daemon.stop() == 0


def test_more_bots_than_there_may_be_files_for_is_bad_configuration() -> None:
    under = ("prlimit", "--nofile=256:1024")
    with DaemonProcess(daemon={"connections_max": 1000}, under=under) as daemon:
        status, said = daemon.refusal()
    assert status == 78
    assert "daemon.connections_max is 1000, but the process may open only 1024 files" in said


def test_a_subscriber_that_has_finished_speaking_is_hung_up_on(bot: Bot) -> None:
    bot.call("events.subscribe")
    bot.socket.shutdown(socket.SHUT_WR)
    assert bot.is_hung_up()


def test_a_flood_of_bots_too_many_holds_nobody_up_and_does_not_fill_the_log() -> None:
    is_over = threading.Event()
    refused: list[int] = []

    def knock(daemon: DaemonProcess) -> None:
        while not is_over.is_set():
            with suppress(HungUp, BlockingIOError), daemon.bot() as surplus:
                refused.append(surplus.receive()["error"]["code"])

    with running(daemon={"connections_max": 2}) as daemon, daemon.bot() as bot, daemon.bot():
        assert bot.call("daemon.ping")["pong"]
        threads = [threading.Thread(target=knock, args=(daemon,)) for _ in range(4)]
        began_s = time.monotonic()
        for thread in threads:
            thread.start()
        while len(refused) < 500:
            assert bot.call("order.submit", **limit())["status"] == "PENDING"
        is_over.set()
        for thread in threads:
            thread.join()
        took_s = time.monotonic() - began_s
        assert bot.call("daemon.info")["connections"] == 2
        assert daemon.stop() == 0
        assert set(refused) == {303}
        told = daemon.logged("bot_refused")
        assert 1 <= len(told) <= 1 + took_s / REFUSALS_EVERY_S
        assert len(told) + sum(each["untold"] for each in told) <= len(refused)


def test_a_thousand_connections_leave_nothing_behind(daemon: DaemonProcess, bot: Bot) -> None:
    bot.call("stats.get")  # the process that answers it has its files, too
    before = daemon.fds()
    for no in range(1_000):
        with daemon.bot() as one:
            if no % 4 == 0:
                one.call("daemon.ping")
            elif no % 4 == 1:
                one.call("events.subscribe")
            elif no % 4 == 2:
                one.ask("order.get", cl_ord_id="nobody")
            elif no % 8 == 3:  # gone in the middle of a batch that begins something
                subscribe = request(1, "events.subscribe", last=5)
                one.send([subscribe, request(2, "order.submit", **limit(), wait="venue")])
    assert until_alone(bot)["subscribers"] == 0
    assert daemon.fds() == before


def test_an_error_does_not_end_the_connection(bot: Bot) -> None:
    for _ in range(3):
        with pytest.raises(Told):
            bot.call("no.such")
    assert bot.call("daemon.ping")["pong"]


def test_cancel_all_takes_all_though_the_inbox_holds_fewer() -> None:
    group = {"test": "all"}
    with running(daemon={"inbox_max": 16}) as daemon, daemon.bot() as bot:
        for _ in range(60):
            bot.call("order.submit", **limit(group=group))
        assert bot.call("order.cancel_all", group=group)["requested"] == 60


async def test_what_is_begun_for_a_bot_that_has_gone_meanwhile_ends_at_once(tmp_path: Path) -> None:
    """A subscription that looks back for long would else run on for nobody, beyond the daemon's end."""
    asked, gone = asyncio.Event(), asyncio.Event()
    begun: list[asyncio.Task[None]] = []

    async def for_ever() -> None:
        await asyncio.Event().wait()

    async def subscribe(_call: Call, peer: Peer) -> bytes:
        asked.set()
        await gone.wait()
        begun.append(peer.spawn(for_ever, "subscription"))
        return b"{}"

    async with asyncio.TaskGroup() as group:
        server = Server(subscribe, lambda *_: False, DaemonConfig(), group)
        async with listening(tmp_path / "socket", server):
            _, writer = await asyncio.open_unix_connection(str(tmp_path / "socket"))
            writer.write(lines_of(request(1, "events.subscribe")))
            await asked.wait()
            for connection in tuple(server.connections):
                connection._out._give_up()
            await until(lambda: not server.connections, "the connection is lost")
            gone.set()
            await until(lambda: begun != [], "it is begun")
            await asyncio.wait(begun, timeout=30)
            writer.close()
            was_ended = begun[0].cancelled()
            begun[0].cancel()
    assert was_ended


@pytest.mark.parametrize(
    "asked",
    [
        request(1, "subscribe"),
        [request(1, "subscribe"), request(2, "ping")],
        [request(2, "slow"), request(1, "subscribe")],
    ],
)
async def test_what_a_call_begins_says_nothing_before_the_answer_of_that_call(
    tmp_path: Path, asked: object
) -> None:
    """Whatever else is answered on the connection while that answer is being made."""
    may_end = asyncio.Event()

    async def answer(call: Call, peer: Peer) -> bytes:
        if call.method == "subscribe":
            peer.spawn(lambda: peer.send(b'"an event"'), "subscription")
        if call.method != "ping":
            await may_end.wait()
        return b'{"id":%b}' % (call.id or b"")

    async with asyncio.TaskGroup() as group:
        server = Server(answer, lambda *_: False, DaemonConfig(), group)
        async with listening(tmp_path / "socket", server):
            reader, writer = await asyncio.open_unix_connection(str(tmp_path / "socket"))
            writer.write(lines_of(asked))
            for no in (7, 8, 9):
                writer.write(lines_of(request(no, "ping")))
                assert json.loads(await reader.readline()) == {"id": no}
            may_end.set()
            answered = json.loads(await reader.readline())
            assert {"id": 1} in (answered if isinstance(answered, list) else [answered])
            assert json.loads(await reader.readline()) == "an event"
            writer.close()


@pytest.mark.parametrize("kind", [socket.SOCK_DGRAM, socket.SOCK_STREAM])
async def test_only_a_socket_that_certainly_nobody_listens_on_is_taken_away(
    tmp_path: Path, kind: socket.SocketKind
) -> None:
    path = tmp_path / "socket"
    async with asyncio.TaskGroup() as group:
        server = Server(AsyncMock(), lambda *_: False, DaemonConfig(), group)
        with ExitStack() as stack:
            somebodys = stack.enter_context(socket.socket(socket.AF_UNIX, kind))
            somebodys.bind(str(path))
            if kind is socket.SOCK_STREAM:
                somebodys.listen(0)  # and too busy to take in one more
                for _ in range(2):
                    knocking = stack.enter_context(socket.socket(socket.AF_UNIX))
                    knocking.settimeout(0)
                    knocking.connect_ex(str(path))
            with pytest.raises(ConfigError, match="may be somebody's socket"):
                async with listening(path, server):
                    pass
            assert path.is_socket()
        async with listening(path, server):
            assert path.is_socket(), "what a killed daemon left behind is in nobody's way"


@pytest.mark.parametrize("place", ["file/socket", "/proc/socket", "/proc/nowhere/socket"])
async def test_a_socket_that_cannot_be_made_is_bad_configuration(
    tmp_path: Path, place: str
) -> None:
    (tmp_path / "file").touch()
    async with asyncio.TaskGroup() as group:
        server = Server(AsyncMock(), lambda *_: False, DaemonConfig(), group)
        with pytest.raises(ConfigError, match="cannot be made: ") as told:
            async with listening(tmp_path / place, server):
                pass
    assert told.value.field == "daemon.socket"
