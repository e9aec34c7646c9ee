"""
The way out for log lines: a bounded queue, and one thread that renders and writes.

Rule 1: whoever logs never waits: what does not fit is dropped and counted, and once the reader
        follows again one `log_lines_dropped` stands where the gap is.
Rule 2: lines wait as they were logged and are rendered by the thread, a few at a time, so that
        neither the memory for them nor their hold on the interpreter lock grows.
Rule 3: a line is written whole: what the stream does not take at once is kept and offered again.
"""

import os
import select
import threading
from queue import SimpleQueue

from brokerd.clock import SystemClock
from brokerd.logs.lines import Line, Render
from brokerd.times import NS_PER_S

LINES_MAX = 8192
BYTES_MAX = 8 * 1024 * 1024

CHUNK_LINES = 128
CHUNK_BYTES = 64 * 1024
WRITE_BYTES = 4096
"""A pipe that polls as writable takes this many bytes (PIPE_BUF) without blocking."""

PAUSE_S = 0.0003
"""Rest after a chunk: the loop gets the interpreter lock, and lines gather for the next chunk."""

NAP_S = 0.03
"""Rest when nothing waits: a thread that woke for every line would take the lock as often."""

DRAIN_S = 1.0
_POLL_MS = 50
_NEWLINE = 10

Item = tuple[Line, int]


class LogDrain:
    """
    Where structlog's loggers put their lines: `put` is called from any thread.

    `lines_max` and `bytes_max` bound what waits; `size` is the caller's estimate, in bytes.
    """

    def __init__(
        self, fd: int, render: Render, *, lines_max: int = LINES_MAX, bytes_max: int = BYTES_MAX
    ) -> None:
        self._fd = fd
        self._render = render
        self._lines_max = lines_max
        self._bytes_max = bytes_max
        self._clock = SystemClock()
        self._queue: SimpleQueue[Item | None] = SimpleQueue()
        # Only those who log take the lock, but for a gap's end: they never wait for the thread. Nor
        # for themselves: the collector may run in here, and what it destroys may have a last word.
        self._lock = threading.RLock()
        self._lines_in = self._bytes_in = 0
        self._lines_out = self._bytes_out = 0
        self._refused = self._gap = 0
        self._failed = self._lost = 0
        self._torn = False
        self._closing = threading.Event()
        self._deadline_ns = 0
        self._thread = threading.Thread(target=self._run, name="log-drain", daemon=True)

    @property
    def dropped(self) -> int:
        """Lines lost since the start, to a full queue or to a stream that failed."""
        return self._refused + self._failed

    def put(self, line: Line, size: int) -> None:
        """Queue one line, or drop it: without waiting, and without raising."""
        with self._lock:
            # Once full, stay shut until the queue is half empty: one gap instead of a thousand.
            if (
                self._gap
                or self._lines_in - self._lines_out >= self._lines_max
                or self._bytes_in - self._bytes_out >= self._bytes_max
            ):
                self._gap += 1
                self._refused += 1
                return
            self._lines_in += 1
            self._bytes_in += size
            self._queue.put((line, size))

    # The names structlog calls its logger by.
    debug = info = warning = error = critical = put

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def close(self) -> None:
        """Write what waits, for at most `DRAIN_S`; what is left then is lost."""
        self._deadline_ns = self._clock.monotonic_ns() + int(DRAIN_S * NS_PER_S)
        self._closing.set()
        self._queue.put(None)
        self._thread.join(DRAIN_S + 2 * _POLL_MS / 1000)

    def _is_half_empty(self) -> bool:
        return (
            self._lines_in - self._lines_out <= self._lines_max // 2
            and self._bytes_in - self._bytes_out <= self._bytes_max // 2
        )

    def _run(self) -> None:
        while not self._is_done():
            items = self._take()
            self._write(items)
            self._lines_out += len(items)
            self._bytes_out += sum(size for _, size in items)
            if self._gap and self._is_half_empty():
                self._end_gap()
            self._closing.wait(NAP_S if self._queue.empty() else PAUSE_S)
        self._failed += self._lines_in - self._lines_out

    def _is_done(self) -> bool:
        is_empty = self._lines_in == self._lines_out and not self._gap
        return self._closing.is_set() and (is_empty or self._is_late())

    def _is_late(self) -> bool:
        return self._closing.is_set() and self._clock.monotonic_ns() >= self._deadline_ns

    def _take(self) -> list[Item]:
        """Wait for a line, or for the None of `close`; then take what else fits a chunk."""
        items: list[Item] = []
        size = 0
        item = self._queue.get()
        while item is not None:
            items.append(item)
            size += item[1]
            if len(items) == CHUNK_LINES or size >= CHUNK_BYTES or self._queue.empty():
                break
            item = self._queue.get()
        return items

    def _end_gap(self) -> None:
        with self._lock:
            dropped, self._gap = self._gap, 0
            self._lines_in += 1
            self._queue.put((self._report(dropped), 0))

    def _report(self, dropped: int) -> Line:
        values = {"event": "log_lines_dropped", "count": dropped, "total": self.dropped}
        return self._clock.now_ns(), "warning", values

    def _write(self, items: list[Item]) -> None:
        if items and self._lost and not self._offer(self._render(self._report(self._lost))):
            self._lost = 0
        unwritten = self._offer(b"".join([self._render(line) for line, _ in items]))
        lost = min(unwritten.count(b"\n"), len(items))
        self._lost += lost
        self._failed += lost

    def _offer(self, chunk: bytes) -> bytes:
        """Write as the reader takes it; return what the stream refused, or had no time for."""
        view = memoryview(b"\n" + chunk if self._torn and chunk else chunk)
        try:
            while view and self._wait_writable():
                try:
                    written = os.write(self._fd, view[:WRITE_BYTES])
                except BlockingIOError:
                    self._closing.wait(PAUSE_S)
                else:
                    self._torn = view[written - 1] != _NEWLINE
                    view = view[written:]
        except OSError:
            # Nobody reads any more, or the disk is full: the next chunk tries again.
            return bytes(view)
        return bytes(view)

    def _wait_writable(self) -> bool:
        poll = select.poll()
        poll.register(self._fd, select.POLLOUT)
        while not poll.poll(_POLL_MS):
            if self._is_late():
                return False
        return True
