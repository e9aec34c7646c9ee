"""
The whole terminal, for a while: the alternate screen, single keys, resizing, Ctrl-Z.

Rule: however the block ends (a key, an error, SIGTERM, SIGHUP, Ctrl-C) the terminal is as it was
found: its modes, its cursor, its text.
"""

import os
import select
import signal
import socket
import sys
import termios
import tty
from collections.abc import Sequence
from contextlib import suppress
from types import FrameType
from typing import Self

from brokerd.cli.errors import Usage
from brokerd.cli.terminal import is_terminal

# Alternate screen, no cursor, no wrapping of long lines; and back, in the reverse order.
_ENTER = "\x1b[?1049h\x1b[?25l\x1b[?7l\x1b[2J"
_LEAVE = "\x1b[?7h\x1b[?25h\x1b[?1049l"
_HOME, _ERASE_LINE, _ERASE_BELOW = "\x1b[H", "\x1b[K", "\x1b[J"

_ENDS = (signal.SIGTERM, signal.SIGHUP)

_SEQUENCES = {
    b"\x1b[A": "up",
    b"\x1bOA": "up",
    b"\x1b[B": "down",
    b"\x1bOB": "down",
    b"\x1b[5~": "page_up",
    b"\x1b[6~": "page_down",
    b"\x1b[H": "home",
    b"\x1b[F": "end",
    b"\x1b[1~": "home",
    b"\x1b[4~": "end",
}
_SINGLES = {b"\r": "enter", b"\n": "enter", b"\x1b": "escape", b"\x04": "q"}


def keys_in(data: bytes) -> list[str]:
    """Return the keys in what a terminal sent: a name, or the character; the unknown is dropped."""
    keys: list[str] = []
    while data:
        sequence = next((each for each in _SEQUENCES if data.startswith(each)), None)
        if sequence is not None:
            keys.append(_SEQUENCES[sequence])
            data = data[len(sequence) :]
            continue
        single, data = data[:1], data[1:]
        if single == b"\x1b" and data[:1] in {b"[", b"O"}:
            data = data[1:].lstrip(b"0123456789;")[1:]
        elif single in _SINGLES:
            keys.append(_SINGLES[single])
        elif 0x20 <= single[0] < 0x7F:
            keys.append(single.decode())
    return keys


class Screen:
    """The terminal while the block lasts. `draw` shows lines, `wait` returns the keys pressed."""

    def __init__(self) -> None:
        if not (is_terminal(sys.stdin) and is_terminal(sys.stdout)):
            raise Usage("this needs a terminal: its keyboard and its screen")
        if os.environ.get("TERM") in {None, "", "dumb"}:
            raise Usage("this terminal cannot be drawn on", "$TERM says what it can do")
        self._fd = sys.stdin.fileno()
        self._before = termios.tcgetattr(self._fd)
        self._handlers: dict[signal.Signals, object] = {}
        self._woken, self._wake = socket.socketpair()

    def __enter__(self) -> Self:
        for end in (self._woken, self._wake):
            end.settimeout(0)
        signal.set_wakeup_fd(self._wake.fileno(), warn_on_full_buffer=False)
        for number in _ENDS:
            self._handlers[number] = signal.signal(number, _end)
        self._handlers[signal.SIGWINCH] = signal.signal(signal.SIGWINCH, _wake_up)
        self._handlers[signal.SIGTSTP] = signal.signal(signal.SIGTSTP, self._suspend)
        self._enter()
        return self

    def __exit__(self, *_: object) -> None:
        self._leave()
        signal.set_wakeup_fd(-1)
        for number, handler in self._handlers.items():
            signal.signal(number, handler)  # type: ignore[arg-type]  # it is what signal returned
        self._woken.close()
        self._wake.close()

    @property
    def size(self) -> os.terminal_size:
        """Columns and lines now; $COLUMNS and $LINES are not asked: they do not resize."""
        return os.get_terminal_size(sys.stdout.fileno())

    def draw(self, lines: Sequence[str]) -> None:
        """Show lines from the top, as many as there is room for."""
        text = "\r\n".join(f"{line}{_ERASE_LINE}" for line in lines[: self.size.lines])
        print(f"{_HOME}{text}{_ERASE_BELOW}", end="", flush=True)

    def wait(self, patience_s: float, also: int | None = None) -> list[str]:
        """Return the keys pressed, none when time is up, the size changed, or `also` can be read."""
        fds = [self._fd, self._woken.fileno(), *([] if also is None else [also])]
        ready, _, _ = select.select(fds, [], [], max(patience_s, 0.0))
        if self._woken.fileno() in ready:
            with suppress(BlockingIOError):
                self._woken.recv(4096)
        if self._fd not in ready:
            return []
        data = os.read(self._fd, 4096)
        return keys_in(data) if data else ["q"]  # the keyboard is gone

    def _enter(self) -> None:
        tty.setcbreak(self._fd)
        print(_ENTER, end="", flush=True)

    def _leave(self) -> None:
        with suppress(OSError):  # a terminal that hung up needs nothing back
            print(_LEAVE, end="", flush=True)
        with suppress(termios.error):
            termios.tcsetattr(self._fd, termios.TCSADRAIN, self._before)

    def _suspend(self, _number: int, _frame: FrameType | None) -> None:
        """Ctrl-Z: give the terminal back, stop, and take it again when we go on."""
        self._leave()
        signal.signal(signal.SIGTSTP, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGTSTP)
        signal.signal(signal.SIGTSTP, self._suspend)
        self._enter()


def _end(number: int, _frame: FrameType | None) -> None:
    raise SystemExit(128 + number)


def _wake_up(_number: int, _frame: FrameType | None) -> None:
    """Do nothing: the wakeup socket has told `wait`."""
