"""A Unix socket in front of the daemon's that loses answers."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any


class LossyProxy:
    """
    Passes lines on both ways; the first answer to a call that names `method` is lost.

    The daemon has the call and has answered it when the client's connection dies.
    """

    def __init__(self, front: Path, back: Path, method: str) -> None:
        self._back = back
        self._method = method.encode()
        self.lost = 0
        self._sockets: list[socket.socket] = []
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(front))
        self._listener.listen()
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def close(self) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._threads[0].join(30)
        for each in self._sockets:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(30)
        for each in [*self._sockets, self._listener]:
            each.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            daemon = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            daemon.connect(str(self._back))
            self._sockets += [client, daemon]
            for target in (self._pass_calls, self._pass_answers):
                thread = threading.Thread(target=target, args=(client, daemon))
                self._threads.append(thread)
                thread.start()

    def _pass_calls(self, client: socket.socket, daemon: socket.socket) -> None:
        with suppress(OSError), client.makefile("rb") as lines:
            for line in lines:
                if self._method in line and not self.lost:
                    self.lost += 1
                    self._lose(client, line)
                    return
                daemon.sendall(line)
            daemon.shutdown(socket.SHUT_WR)

    def _lose(self, client: socket.socket, line: bytes) -> None:
        """Let the daemon do it, see its answer, and hang up on the client."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as other:
            other.settimeout(30)
            other.connect(str(self._back))
            other.sendall(line)
            other.recv(1)
        client.shutdown(socket.SHUT_RDWR)

    @staticmethod
    def _pass_answers(client: socket.socket, daemon: socket.socket) -> None:
        with suppress(OSError):
            while data := daemon.recv(65_536):
                client.sendall(data)
            client.shutdown(socket.SHUT_WR)


@contextmanager
def losing(front: Path, back: Path, method: str) -> Iterator[Any]:
    """A proxy at `front` for as long as the block lasts."""
    proxy = LossyProxy(front, back, method)
    try:
        yield proxy
    finally:
        proxy.close()
