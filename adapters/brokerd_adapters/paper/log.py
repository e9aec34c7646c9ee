"""
The paper venue's log: one JSON line a record, so that a restart of the daemon loses no order.

Lines are written before the command that made them is answered, by one `write` a command to a file
opened for appending: what was answered survives `kill -9`. They are not synced, for a paper order
is not worth a disk flush: a power cut may take the last seconds, and the venue then honestly has
forgotten those orders, cancels and fills. The broker finds out as it would at any venue that did.
"""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from brokerd.errors import ConfigError
from brokerd_adapters.paper.records import Record

_encode = msgspec.json.Encoder(decimal_format="string").encode
_decode = msgspec.json.Decoder(Record).decode


_FRESH = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC


class PaperLog:
    """One append-only file: read it, `begin` it anew from what is still worth knowing, append."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._fd: int | None = None
        self._pending: list[bytes] = []

    def records(self) -> Iterator[Record]:
        """
        Yield what the file remembers; a file that is not there remembers nothing.

        A last line that is torn was never answered and is left out. Raises ConfigError, naming the
        line, for anything else that is not a record.
        """
        try:
            file = self.path.open("rb")
        except FileNotFoundError:
            return
        with file:
            torn: str | None = None
            for line_no, line in enumerate(file, start=1):
                if torn is not None:
                    raise ConfigError(
                        f"{self.path}, line {line_no - 1} is not a record: {torn}",
                        hint="move the file away to start the paper venue afresh",
                    )
                try:
                    record = _decode(line)
                except (msgspec.DecodeError, UnicodeDecodeError) as error:
                    torn = str(error)
                    continue
                # A line without its end may be a shorter number than was meant.
                if line.endswith(b"\n"):
                    yield record

    def begin(self, records: Iterable[Record]) -> None:
        """Replace the file with these records, all or nothing, and append from here on."""
        self.close()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        fresh = self.path.with_name(self.path.name + ".new")
        with os.fdopen(os.open(fresh, _FRESH, 0o640), "wb") as file:
            file.writelines(_encode(record) + b"\n" for record in records)
            file.flush()
            # Once a start: without it a power cut could leave an empty file under the old name.
            os.fsync(file.fileno())
        fresh.replace(self.path)
        self._fd = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)

    def add(self, record: Record) -> None:
        """Take one more record; it is in the file after `flush`."""
        self._pending.append(_encode(record))

    def flush(self) -> None:
        """Write what was added; raises OSError when the file does not take all of it."""
        if not self._pending or self._fd is None:
            return
        lines = memoryview(b"\n".join(self._pending) + b"\n")
        self._pending.clear()
        while lines:
            lines = lines[os.write(self._fd, lines) :]

    def close(self) -> None:
        """Let go of the file, and of what was never flushed."""
        self._pending.clear()
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None
