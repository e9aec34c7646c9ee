"""A daemon for the command line's tests: a thread on a real Unix socket that follows a script."""

import json
import socket
import tempfile
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

Peer = socket.socket
Request = dict[str, Any]
Act = Callable[[Peer, Request], None]


class Error:
    """A JSON-RPC error to answer with."""

    def __init__(self, code: int, message: str, **data: Any) -> None:
        self.body = {"code": code, "message": message, "data": data}


class ScriptedDaemon:
    """
    Answers by method: a value is the result, an Error is one, a function does as it likes.

    A list of those is used up one call at a time, its last one for ever. `requests` is what came.
    """

    def __init__(self, script: dict[str, Any]) -> None:
        self.script = script
        self.requests: list[Request] = []
        self._directory = tempfile.TemporaryDirectory(prefix="ctl")
        self.path = str(Path(self._directory.name) / "s")
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(self.path)
        self._listener.listen()
        self._peers: list[Peer] = []
        self._threads = [threading.Thread(target=self._accept)]

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._threads[0].join(30)
        for peer in self._peers:
            with suppress(OSError):
                peer.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(30)
        self._listener.close()
        self._directory.cleanup()

    def params(self, method: str) -> list[Request]:
        return [request["params"] for request in self.requests if request["method"] == method]

    def _accept(self) -> None:
        while True:
            try:
                peer, _ = self._listener.accept()
            except OSError:
                return
            self._peers.append(peer)
            thread = threading.Thread(target=self._serve, args=(peer,))
            self._threads.append(thread)
            thread.start()

    def _serve(self, peer: Peer) -> None:
        with peer, peer.makefile("rb") as lines:
            try:
                for line in lines:
                    request = json.loads(line)
                    self.requests.append(request)
                    self._answer(peer, request)
            except OSError:
                return

    def _answer(self, peer: Peer, request: Request) -> None:
        scripted = self.script[request["method"]]
        if isinstance(scripted, list):
            scripted = scripted.pop(0) if len(scripted) > 1 else scripted[0]
        if callable(scripted):
            scripted(peer, request)
        elif isinstance(scripted, Error):
            say(peer, {"jsonrpc": "2.0", "id": request["id"], "error": scripted.body})
        else:
            reply(peer, request, scripted)


def say(peer: Peer, message: object) -> None:
    peer.sendall(json.dumps(message).encode() + b"\n")


def reply(peer: Peer, request: Request, result: object) -> None:
    say(peer, {"jsonrpc": "2.0", "id": request["id"], "result": result})


def hang_up(peer: Peer, request: Request) -> None:
    """Die with the request in hand."""
    peer.shutdown(socket.SHUT_RDWR)


def stay_silent(peer: Peer, request: Request) -> None:
    """Take the request and never answer."""


def raw(data: bytes) -> Act:
    """Answer with these very bytes."""
    return lambda peer, _: peer.sendall(data)


def order(cl_ord_id: str = "a-1", **changes: Any) -> Request:
    return {
        "cl_ord_id": cl_ord_id,
        "executor": "paper",
        "executor_id": "paper:17",
        "venue_order_id": "17",
        "symbol": "BTCUSDT",
        "side": "buy",
        "ord_type": "limit",
        "qty": "0.010",
        "px": "39400.10",
        "stop_px": None,
        "time_in_force": "gtc",
        "post_only": False,
        "group": {"strategy": "mm"},
        "status": "OPEN",
        "ord_status": "new",
        "in_doubt": False,
        "cum_qty": "0",
        "leaves_qty": "0.010",
        "avg_px": None,
        "fees": {},
        "reason": None,
        "created_at": "2026-01-31T09:30:00.123456789Z",
        "seq": 4,
        **changes,
    }
