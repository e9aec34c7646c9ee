"""Logs: one line a thing that happened, never a secret, and never a wait."""

import asyncio
import errno
import json
import logging
import os
import pickle
import pty
import threading
import time
import tracemalloc
import warnings
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from statistics import median
from typing import Any

import msgspec
import pytest
import structlog

from brokerd.blotter import Change
from brokerd.events import (
    After,
    DaemonStarted,
    Entry,
    ExecutorChanged,
    FillsMissed,
    OrderTraded,
    ReportDisputed,
    RequestDoubted,
    RequestKind,
    Road,
    encode_entry,
)
from brokerd.logs.drain import LogDrain
from brokerd.logs.lines import LINE_BYTES_MAX, console_line, json_line
from brokerd.logs.setup import EventLog, configure_logs
from brokerd.secrets import REDACTED, Secret, is_secret_key, redact_text
from brokerd.times import parse_rfc3339

CANARY = "hunter2canary"
FILL = Entry(
    OrderTraded(
        at_ns=7,
        cl_ord_id="a-1",
        road=Road.STREAM,
        exec_id="e-1",
        last_qty=Decimal("0.5"),
        last_px=Decimal("40000.1"),
    ),
    After("partially_filled", Decimal("0.5"), Decimal("1.5"), Decimal("40000.1")),
)


@pytest.fixture
def log_file(tmp_path: Path) -> Iterator[tuple[int, Path]]:
    path = tmp_path / "log"
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    yield fd, path
    os.close(fd)


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """Returns the read end and the write end."""
    reader, writer = os.pipe()
    yield reader, writer
    for fd in (reader, writer):
        try:
            os.close(fd)
        except OSError as error:
            if error.errno != errno.EBADF:
                raise


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def line(**values: Any) -> dict[str, Any]:
    """Render one line and read it back."""
    rendered = json_line((1_767_323_045_000_000_006, "info", {"event": "it_happened", **values}))
    assert rendered.endswith(b"\n")
    assert rendered.count(b"\n") == 1
    return json.loads(rendered)


def test_a_line_is_json_with_time_level_and_event_first(log_file: tuple[int, Path]) -> None:
    fd, path = log_file
    before_ns = time.time_ns()
    with configure_logs("json", "info", fd):
        log = structlog.get_logger().bind(executor="paper")
        log.info("order_sent", cl_ord_id="a-1", qty=Decimal("0.10"), ts="mine", side=Road.BOT)
        log.debug("not_wanted")
        log.warning("venue_slow", delay_s=1.5)
    first, second = lines_of(path)
    assert [*first] == [
        "ts",
        "ts_ns",
        "level",
        "event",
        "executor",
        "cl_ord_id",
        "qty",
        "ts_",
        "side",
    ]
    assert before_ns <= first["ts_ns"] <= time.time_ns()
    assert parse_rfc3339(first["ts"]) == first["ts_ns"]
    assert first["qty"] == "0.10"
    assert (first["level"], first["event"], first["ts_"], first["side"]) == (
        "info",
        "order_sent",
        "mine",
        "bot",
    )
    assert (second["level"], second["delay_s"]) == ("warning", 1.5)


def log_entry(drain: LogDrain, entry: Entry, seq: int) -> None:
    """Log one journal row, as the engine does after a commit."""
    EventLog(drain, "info")([Change(seq, entry, None)], [encode_entry(entry)])


def test_a_journal_row_is_logged_under_its_events_name_with_the_order_after_it(
    log_file: tuple[int, Path],
) -> None:
    fd, path = log_file
    missed = Entry(FillsMissed(at_ns=8, cl_ord_id="a-1", cum_qty=Decimal(2)), FILL.after)
    with configure_logs("json", "info", fd) as drain:
        log_entry(drain, FILL, 41)
        log_entry(drain, missed, 42)
    first, second = lines_of(path)
    del first["ts"], first["ts_ns"]
    assert first == {
        "level": "info", "event": "order_traded", "seq": 41, "at_ns": 7, "cl_ord_id": "a-1",
        "road": "stream", "exec_id": "e-1", "last_qty": "0.5", "last_px": "40000.1",
        "ord_status": "partially_filled", "cum_qty": "0.5", "leaves_qty": "1.5",
        "avg_px": "40000.1",
    }  # fmt: skip
    assert (second["cum_qty"], second["venue_cum_qty"]) == ("0.5", "2")


@pytest.mark.parametrize(
    ("entry", "level"),
    [
        (FILL, "info"),
        (Entry(DaemonStarted(at_ns=1, version="1", epoch="e")), "info"),
        (Entry(RequestDoubted(at_ns=1, cl_ord_id="a", request=RequestKind.NEW)), "warning"),
        (Entry(ReportDisputed(at_ns=1, cl_ord_id="a", exec_type="trade")), "error"),
        (Entry(ExecutorChanged(at_ns=1, executor="p", state="up")), "info"),
        (Entry(ExecutorChanged(at_ns=1, executor="p", state="down")), "warning"),
        (Entry(ExecutorChanged(at_ns=1, executor="p", state="frozen")), "error"),
    ],
)
def test_a_row_is_as_severe_as_what_it_asks_of_the_operator(
    log_file: tuple[int, Path], entry: Entry, level: str
) -> None:
    fd, path = log_file
    with configure_logs("json", "info", fd) as drain:
        log_entry(drain, entry, 1)
    assert [one["level"] for one in lines_of(path)] == [level]


def test_a_line_that_is_logged_in_the_middle_of_another_waits_for_nobody(
    log_file: tuple[int, Path],
) -> None:
    """The collector runs where it likes, and a task that it destroys logs so: within a `put`."""
    fd, path = log_file
    with configure_logs("json", "info", fd) as drain:

        class Destroyed(int):
            def __radd__(self, other: int) -> int:
                drain.put((2, "error", {"event": "task_destroyed"}), 1)
                return other + int(self)

        outer = ((1, "info", {"event": "order_sent"}), Destroyed(1))
        logging_thread = threading.Thread(target=drain.put, args=outer, daemon=True)
        logging_thread.start()
        logging_thread.join(30)
        assert not logging_thread.is_alive()
    assert {one["event"] for one in lines_of(path)} == {"order_sent", "task_destroyed"}


async def test_a_stuck_reader_costs_lines_and_never_the_loops_time(pipe: tuple[int, int]) -> None:
    """50,000 lines into a pipe nobody reads; then somebody reads it."""
    reader, writer = pipe
    turns_s, total = list[float](), 50_000
    tracemalloc.start()
    with configure_logs("json", "info", writer, lines_max=2000) as drain:
        log = structlog.get_logger().bind(executor="paper")
        for n in range(0, total, 100):
            began_s = time.monotonic()
            for k in range(n, n + 100):
                log.info("order_sent", n=k, text="x" * 200)
            await asyncio.sleep(0)
            turns_s.append(time.monotonic() - began_s)
        bytes_held = tracemalloc.get_traced_memory()[0]
        tracemalloc.stop()
        dropped = drain.dropped
        assert total - dropped < 2000 + 2 * 32 + 65536 // 200
        assert bytes_held < 8_000_000
        # Half of the turns, for the machine may hold up a few.
        assert median(turns_s) < 1
        reading = asyncio.get_running_loop().run_in_executor(None, read_all, reader)
        await wait_for_idle(drain)
        log.info("order_sent", n=total)
        await wait_for_idle(drain)
        assert drain.dropped == dropped
    os.close(writer)
    told = [json.loads(one) for one in (await reading).splitlines()]
    [report] = [one for one in told if one["event"] == "log_lines_dropped"]
    assert (report["count"], report["total"], report["level"]) == (dropped, dropped, "warning")
    sent = [one["n"] for one in told if one["event"] == "order_sent"]
    assert sent == [*range(total - dropped), total]
    # The report stands where the gap is.
    assert told.index(report) == len(told) - 2


async def wait_for_idle(drain: Any) -> None:
    """Wait until the drain has written all it was given, the report of a gap included."""
    async with asyncio.timeout(30):
        while drain._gap or drain._lines_in != drain._lines_out:  # noqa: ASYNC110  # a thread's counters
            await asyncio.sleep(0.001)


def read_all(fd: int) -> bytes:
    parts: list[bytes] = []
    while part := os.read(fd, 65536):
        parts.append(part)
    return b"".join(parts)


def test_waiting_bytes_are_bounded_too(pipe: tuple[int, int]) -> None:
    _, writer = pipe
    with configure_logs("json", "info", writer, bytes_max=1_000_000) as drain:
        log = structlog.get_logger()
        for _ in range(1000):
            log.info("big", text="x" * 20_000, deep={"list": ["y" * 10_000]})
        assert drain._bytes_in - drain._bytes_out < 1_100_000
        assert drain.dropped > 900


def test_a_stuck_reader_holds_up_the_exit_for_a_second_at_most(pipe: tuple[int, int]) -> None:
    _, writer = pipe
    with configure_logs("json", "info", writer) as drain:
        log = structlog.get_logger()
        for _ in range(4000):
            log.info("order_sent", text="x" * 100)
        began_s = time.monotonic()
    assert 0.9 < time.monotonic() - began_s < 5
    assert not drain._thread.is_alive()
    assert drain.dropped > 3000


def test_a_gap_that_is_open_at_the_exit_is_reported_too(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    found: list[bytes] = []
    thread = threading.Thread(target=lambda: found.append(read_all(reader)))
    with configure_logs("json", "info", writer, lines_max=200) as drain:
        for _ in range(1000):
            structlog.get_logger().info("order_sent", text="x" * 1000)
        thread.start()
    os.close(writer)
    thread.join(30)
    last = json.loads(found[0].splitlines()[-1])
    assert (last["event"], last["count"]) == ("log_lines_dropped", drain.dropped)
    assert drain.dropped > 500


def test_lines_are_whole_on_a_stream_that_takes_them_in_pieces(pipe: tuple[int, int]) -> None:
    """A non-blocking pipe of one page: almost every write is a partial one."""
    import fcntl

    reader, writer = pipe
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
    os.set_blocking(writer, False)
    found: list[bytes] = []
    thread = threading.Thread(target=lambda: found.append(read_all(reader)))
    thread.start()
    with configure_logs("json", "info", writer):
        for n in range(500):
            structlog.get_logger().info("order_sent", n=n, text="x" * (n * 37 % 6000))
    os.close(writer)
    thread.join(30)
    assert [json.loads(one)["n"] for one in found[0].splitlines()] == [*range(500)]


def test_a_reader_that_is_gone_costs_lines_and_nothing_else(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    os.close(reader)
    with configure_logs("json", "info", writer) as drain:
        for _ in range(100):
            structlog.get_logger().info("order_sent")
    assert drain.dropped == 100
    assert not drain._thread.is_alive()


def test_lines_that_a_full_disk_refused_are_reported_once_there_is_room(tmp_path: Path) -> None:
    """A file size limit stands for the disk: the write that meets it is cut short."""
    import resource
    import signal

    path = tmp_path / "log"
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        with configure_logs("json", "info", fd) as drain:
            log = structlog.get_logger()
            resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
            for _ in range(20):
                log.info("order_sent", text="x" * 90)
            asyncio.run(wait_for_idle(drain))
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
            log.info("room_again")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
        os.close(fd)
    *whole, torn, report, last = path.read_bytes().splitlines()
    assert all(json.loads(one)["event"] == "order_sent" for one in whole)
    assert not torn.endswith(b"}")
    assert json.loads(report)["event"] == "log_lines_dropped"
    assert json.loads(report)["count"] == 20 - len(whole) == drain.dropped
    assert json.loads(last)["event"] == "room_again"


def test_all_threads_may_log(log_file: tuple[int, Path]) -> None:
    fd, path = log_file
    with configure_logs("json", "info", fd):
        log = structlog.get_logger().bind()
        threads = [
            threading.Thread(target=lambda k=k: [log.info("said", k=k, n=n) for n in range(500)])
            for k in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    told = lines_of(path)
    assert all([one["n"] for one in told if one["k"] == k] == [*range(500)] for k in range(4))


def test_a_secret_never_reaches_a_line(log_file: tuple[int, Path]) -> None:
    fd, path = log_file
    secret = Secret(CANARY)
    with configure_logs("json", "debug", fd):
        log = structlog.get_logger()
        log.info("a", api_key=CANARY, apiSecret=CANARY, Authorization=CANARY, signature=CANARY)
        log.info(
            "b", credential=secret, text=f"{secret} {secret!r}", keys=[secret], of={"x": secret}
        )
        log.info("c", headers={"X-MBX-APIKEY": CANARY, "deep": [{"token": CANARY}]})
        log.info("d", url=f"https://venue.example/order?symbol=X&signature={CANARY}&timestamp=5")
        log.info("e", url=f"https://bob:{CANARY}@venue.example/")
        log.info("f", said=f"Authorization: Bearer {CANARY}", body=f'{{"api_key": "{CANARY}"}}')
        log.info("g", pem=f"-----BEGIN PRIVATE KEY-----\n{CANARY}\n-----END PRIVATE KEY-----")
        try:
            json.loads(f"signature={CANARY}")
        except json.JSONDecodeError as error:
            error.add_note(CANARY)
            log.exception("h", error=error, said=error.doc)
        logging.getLogger("library").warning("password=%s", CANARY)
    assert len(lines_of(path)) == 9
    assert CANARY not in path.read_text()
    assert "symbol=X" in path.read_text()
    assert "timestamp=5" in path.read_text()


@pytest.mark.parametrize("key", ["api_key", "apiKey", "X-MBX-APIKEY", "APCA-API-SECRET-KEY", "secret",
    "client_secret", "signature", "token", "listenKey", "password", "authorization", "private_key"])  # fmt: skip
def test_a_secrets_name_gives_it_away(key: str) -> None:
    assert is_secret_key(key)


@pytest.mark.parametrize(
    "key", ["cl_ord_id", "tokens_left", "credential", "key", "secretary", "symbol"]
)
def test_other_names_do_not(key: str) -> None:
    assert not is_secret_key(key)


def test_looking_for_secrets_takes_no_longer_for_an_evil_text() -> None:
    for evil in ("token" * 13_000, "token-" * 11_000, "a-" * 32_000, "token" + " " * 65_000, "://" * 20_000, "-----BEGIN PRIVATE KEY-----" * 2000):  # fmt: skip
        began_s = time.thread_time()
        redact_text(evil + "=")
        assert time.thread_time() - began_s < 0.5


def test_a_secret_can_be_used_and_not_seen() -> None:
    secret = Secret(CANARY)
    assert secret.reveal() == CANARY
    assert {str(secret), repr(secret), f"{secret}", f"{secret:s}", "%s" % secret} == {REDACTED}  # noqa: UP031
    assert secret == Secret(CANARY)
    assert secret != Secret("other")
    assert secret != CANARY
    assert hash(secret) == hash(Secret(CANARY))
    assert not Secret("")
    for write in (json.dumps, msgspec.json.encode, msgspec.to_builtins, pickle.dumps):
        with pytest.raises(TypeError) as caught:
            write(secret)
        assert CANARY not in str(caught.value)


def test_an_exception_is_told_short_and_without_locals() -> None:
    def deep(n: int) -> None:
        local_value = CANARY
        if n:
            deep(n - 1)
        raise ValueError("bad price") from KeyError(local_value[:2])

    try:
        deep(50)
    except ValueError as error:
        from brokerd.logs.lines import describe_exception

        told = describe_exception(error)
    assert (told["type"], told["message"]) == ("ValueError", "bad price")
    assert told["cause"]["type"] == "KeyError"
    assert len(told["frames"]) == 12
    assert told["frames"][-1].startswith("tests/test_logs.py:")
    assert told["frames"][-1].endswith(" deep")
    assert CANARY not in json.dumps(told)


def test_an_exception_group_names_its_members(log_file: tuple[int, Path]) -> None:
    fd, path = log_file
    with configure_logs("json", "info", fd):
        error = ExceptionGroup("tasks", [ValueError("one"), OSError("two")])
        structlog.get_logger().error("daemon_failed", exc_info=error)
    [told] = lines_of(path)
    assert [one["message"] for one in told["exception"]["errors"]] == ["one", "two"]


def test_values_are_logged_as_they_were_then(log_file: tuple[int, Path]) -> None:
    fd, path = log_file
    orders = ["a"]
    with configure_logs("json", "info", fd):
        structlog.get_logger().info("orders_open", orders=orders)
        orders.append("b")
    assert lines_of(path)[0]["orders"] == ["a"]


@pytest.mark.parametrize(
    "value",
    ["\ud800", float("nan"), 2**80, b"\xff", {1: {2}}, object(), "line\nbreak\x1b[31m", {"\ud800": 1}],
)  # fmt: skip
def test_whatever_is_logged_a_line_comes_out(log_file: tuple[int, Path], value: object) -> None:
    fd, path = log_file
    with configure_logs("json", "info", fd):
        structlog.get_logger().info("it_happened", value=value)
    assert [one["event"] for one in lines_of(path)] == ["it_happened"]


def test_a_value_that_contains_itself_is_logged_too(log_file: tuple[int, Path]) -> None:
    fd, path = log_file
    endless: list[Any] = []
    endless.append(endless)
    with configure_logs("json", "info", fd):
        structlog.get_logger().info("it_happened", value=endless)
    assert lines_of(path)[0]["value"] == "[unwritable: RecursionError]"


def test_an_oversized_line_is_cut_and_still_json() -> None:
    cut = line(
        text="x" * 100_000, n=5, more="é" * 100_000, **{f"k{n}": "\x01" * 500 for n in range(500)}
    )
    assert cut["cut"] is True
    assert (cut["event"], cut["n"]) == ("it_happened", 5)
    assert len(json.dumps(cut)) < LINE_BYTES_MAX


def test_a_huge_text_waits_in_the_queue_only_as_far_as_it_is_written(
    log_file: tuple[int, Path],
) -> None:
    fd, path = log_file
    with configure_logs("json", "info", fd) as drain:
        structlog.get_logger().info("it_happened", text="x" * 1_000_000, many=["y"] * 100_000)
        assert drain._bytes_in < 3 * LINE_BYTES_MAX
    assert lines_of(path)[0]["cut"] is True


def test_no_exception_is_told_where_there_is_none(log_file: tuple[int, Path]) -> None:
    fd, path = log_file
    with configure_logs("json", "info", fd):
        structlog.get_logger().info("it_happened", exc_info=True)
        structlog.get_logger().info("it_happened", exc_info=False)
        logging.getLogger("library").error("broken", exc_info=ValueError("why"))
    first, second, third = lines_of(path)
    assert [*first] == [*second] == ["ts", "ts_ns", "level", "event"]
    assert third["exception"]["message"] == "why"


def test_a_console_line_is_for_a_person_and_cannot_move_the_cursor() -> None:
    error = {
        "type": "OSError",
        "message": "no\x1b[2J",
        "frames": ["a.py:1 f"],
        "cause": {"type": "E", "message": "m"},
    }
    values = {
        "event": "order_sent",
        "cl_ord_id": "a-1",
        "said": "two words\x1b[2J\u202e",
        "n": 5,
        "exception": error,
    }
    at_ns = 1_767_323_045_000_000_006
    shown = console_line((at_ns, "info", values), colour=False).decode()
    assert shown.splitlines() == [
        r'03:04:05.000000 info     order_sent cl_ord_id=a-1 said="two words\x1b[2J\u202e" n=5',
        "    a.py:1 f",
        r"    OSError: no\x1b[2J",
        "    from",
        "        E: m",
    ]
    assert "\x1b[1morder_sent\x1b[0m" in console_line((at_ns, "info", values), colour=True).decode()


@pytest.mark.parametrize(
    ("environ", "is_coloured"),
    [({}, True), ({"NO_COLOR": "1"}, False), ({"NO_COLOR": ""}, True), ({"TERM": "dumb"}, False)],
)
def test_a_terminal_gets_the_console_in_colour_unless_it_is_not_wanted(
    environ: dict[str, str], *, is_coloured: bool
) -> None:
    master, terminal = pty.openpty()
    try:
        with configure_logs("auto", "info", terminal, environ=environ):
            structlog.get_logger().info("order_sent", n=1)
        shown = os.read(master, 4096)
    finally:
        os.close(master)
        os.close(terminal)
    assert b"order_sent" in shown
    assert b"n=1" in shown
    assert (b"\x1b[" in shown) is is_coloured


def test_a_pipe_gets_json_and_a_console_on_it_no_colour(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    with configure_logs("auto", "info", writer):
        structlog.get_logger().info("order_sent")
    assert json.loads(os.read(reader, 4096))["event"] == "order_sent"
    with configure_logs("console", "info", writer):
        structlog.get_logger().info("order_sent")
    assert b"\x1b" not in os.read(reader, 4096)


def test_the_journal_of_systemd_gets_the_severity_in_front(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    stream = os.fstat(writer)
    ours, others = f"{stream.st_dev}:{stream.st_ino}", f"{stream.st_dev}:{stream.st_ino + 1}"
    with configure_logs("auto", "debug", writer, environ={"JOURNAL_STREAM": ours}):
        log = structlog.get_logger()
        log.debug("a")
        log.info("b")
        log.warning("c")
        log.error("d")
    told = os.read(reader, 4096).splitlines()
    assert [one[:3] for one in told] == [b"<7>", b"<6>", b"<4>", b"<3>"]
    assert [json.loads(one[3:])["event"] for one in told] == ["a", "b", "c", "d"]
    # A child inherits the variable, and may have been given another stream.
    with configure_logs("auto", "info", writer, environ={"JOURNAL_STREAM": others}):
        structlog.get_logger().info("e")
    assert os.read(reader, 4096).startswith(b"{")


def test_libraries_speak_through_the_same_lines(log_file: tuple[int, Path]) -> None:
    fd, path = log_file
    handlers = [*logging.getLogger().handlers]
    with configure_logs("json", "info", fd), warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.getLogger("asyncio").warning("%s is slow", "it")
        logging.getLogger("asyncio").debug("not wanted")
        warnings.warn("old", DeprecationWarning, stacklevel=1)
    first, second = lines_of(path)
    assert (first["event"], first["logger"], first["message"]) == (
        "library_warned",
        "asyncio",
        "it is slow",
    )
    assert second["logger"] == "py.warnings"
    assert logging.getLogger().handlers == handlers


@pytest.mark.parametrize("what", ["line", "row"])
def test_a_line_costs_its_caller_microseconds(log_file: tuple[int, Path], what: str) -> None:
    """The bound is ten times the measured cost: it finds rendering on the caller's side, not noise."""
    fd, _ = log_file
    best_s = 1.0
    with configure_logs("json", "info", fd) as drain:
        log = structlog.get_logger().bind(executor="paper")
        qty = Decimal("0.5")
        for _ in range(20):
            began_s = time.thread_time()
            for n in range(100):
                if what == "row":
                    log_entry(drain, FILL, n)
                else:
                    log.info("order_sent", cl_ord_id="a-1", qty=qty, px=qty)
            best_s = min(best_s, (time.thread_time() - began_s) / 100)
    assert best_s < 40e-6
