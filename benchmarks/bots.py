"""
The client that daemon and floor are measured with: lines made beforehand, answers only counted.

What it costs it costs both. That every line was carried out is checked after the clock stopped,
by what the daemon says of itself and by the floor's table.
"""

import json
import selectors
import socket
import time
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from typing import Any

ANSWER_S_MAX = 120.0
RECEIVE_BYTES = 256 * 1024
SETTLE_S_MAX = 300.0


def submits(
    tag: str, count: int, *, time_in_force: str = "gtc", wait: str = "journal"
) -> list[bytes]:
    """Return `count` lines, each a limit order far below the market, with ids of their own."""
    return [
        (
            f'{{"jsonrpc":"2.0","id":{number},"method":"order.submit","params":{{'
            f'"cl_ord_id":"{tag}-{number}","symbol":"BTCUSDT","side":"buy","ord_type":"limit",'
            f'"qty":"0.001","px":"{20_000 + number % 1_000}.5","time_in_force":"{time_in_force}",'
            f'"wait":"{wait}"}}}}\n'
        ).encode()
        for number in range(count)
    ]


def one_by_one(path: str, lines: Iterable[bytes]) -> list[float]:
    """Send each line after the answer to the one before; return each round trip in seconds."""
    took_s: list[float] = []
    with _connected(path) as bot:
        for line in lines:
            began_s = time.perf_counter()
            bot.sendall(line)
            while not bot.recv(RECEIVE_BYTES).endswith(b"\n"):
                pass
            took_s.append(time.perf_counter() - began_s)
    return took_s


def pipelined(path: str, lines: list[bytes], *, connections: int, in_flight: int) -> float:
    """Keep `in_flight` lines unanswered on each connection until all is said; return lines a second."""
    shares = [lines[number::connections] for number in range(connections)]
    bots = [_Bot(path, share) for share in shares]
    with selectors.EpollSelector() as selector:
        for bot in bots:
            selector.register(bot.socket, selectors.EVENT_READ, bot)
        began_s = time.perf_counter()
        for bot in bots:
            bot.send(in_flight)
        unfinished = len(bots)
        while unfinished:
            for key, _ in selector.select(ANSWER_S_MAX) or _gave_up():
                unfinished -= key.data.take()
        took_s = time.perf_counter() - began_s
    for bot in bots:
        bot.socket.close()
    return len(lines) / took_s


def call(path: str, method: str, **params: Any) -> Any:
    """Make one call and return its result."""
    request = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
    with _connected(path) as bot, bot.makefile("rb") as answers:
        bot.sendall(json.dumps(request).encode() + b"\n")
        answer = json.loads(answers.readline())
    if "error" in answer:
        raise RuntimeError(f"{method}: {answer['error']['message']}")
    return answer["result"]


def settle(path: str, submitted: int) -> None:
    """
    Wait until the daemon has done all that followed from `submitted` orders in all.

    Raises RuntimeError if it knows of more or fewer: an answer was no order.
    """
    give_up_s = time.monotonic() + SETTLE_S_MAX
    while (orders := call(path, "daemon.info")["orders"])["pending"]:
        if time.monotonic() >= give_up_s:
            raise RuntimeError(f"{orders['pending']} orders are still pending")
        time.sleep(0.05)
    if orders["submitted"] != submitted:
        raise RuntimeError(f"{orders['submitted']} orders on record, {submitted} were sent")


class _Bot:
    """One connection with its share of the lines."""

    def __init__(self, path: str, lines: list[bytes]) -> None:
        self.socket = _open(path)
        self._lines = lines
        self._sent = 0
        self._answered = 0

    def send(self, count: int) -> None:
        more = self._lines[self._sent : self._sent + count]
        if more:
            self.socket.sendall(b"".join(more))
            self._sent += len(more)

    def take(self) -> bool:
        """Count what was answered and send as many more; say whether this was the last of it."""
        data = self.socket.recv(RECEIVE_BYTES)
        if not data:
            raise RuntimeError("the connection was cut")
        answered = data.count(b"\n")
        self._answered += answered
        self.send(answered)
        return bool(answered) and self._answered == len(self._lines)


def _gave_up() -> Any:
    raise RuntimeError(f"no answer within {ANSWER_S_MAX} s")


def _open(path: str) -> socket.socket:
    bot = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    bot.settimeout(ANSWER_S_MAX)
    bot.connect(path)
    return bot


@contextmanager
def _connected(path: str) -> Generator[socket.socket]:
    with _open(path) as bot:
        yield bot
