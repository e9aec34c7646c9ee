"""
A recorded market: two CSV files, one of trades and one of quotes, merged by time.

    trades   ts_ms,trade_id,px,qty,buyer_is_maker      buyer_is_maker is true or false
    quotes   ts_ms,bid_px,bid_qty,ask_px,ask_qty

Rows are read as they are needed, so a file may be of any length. A row that cannot be right is a
ConfigError that names file, line and column: the files are the operator's to mend.
"""

from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from decimal import Decimal
from heapq import merge
from pathlib import Path
from typing import TypeVar

from brokerd.errors import ConfigError
from brokerd.money import parse_decimal
from brokerd.terms import Instrument
from brokerd_adapters.paper.markets import QuoteTick, Tick, TradeTick

_LINE_MAX = 512
_CELL_SHOWN = 40
_DIGITS_MAX = 18

_TRADES = ("ts_ms", "trade_id", "px", "qty", "buyer_is_maker")
_QUOTES = ("ts_ms", "bid_px", "bid_qty", "ask_px", "ask_qty")
_MS_NS = 1_000_000
_BETWEEN_LAPS_NS = 1_000 * _MS_NS
_BOOLEANS = {"true": True, "false": False}

_T = TypeVar("_T")


class ReplayMarket:
    """
    One symbol's recording. It starts at its first quote: earlier trades come at 0, like that quote.

    With `loop` it begins again a second after its end, without end.
    """

    def __init__(self, instrument: Instrument, *, trades: Path, quotes: Path, loop: bool) -> None:
        self.instruments = {instrument.symbol: instrument}
        self._symbol = instrument.symbol
        self._trades_path = trades
        self._quotes_path = quotes
        self._loop = loop

    def ticks(self) -> Generator[Tick, None, None]:
        """Yield ticks lazily, in order of time; raises ConfigError at the first row it cannot use."""
        with closing(_rows(self._quotes_path, _QUOTES)) as rows:
            first = next(rows, None)
        if first is None:
            raise ConfigError(f"{self._quotes_path} has no row")
        lap_ns = 0
        while True:
            lap = merge(
                self._quotes(lap_ns, first.at_ns), self._trades(lap_ns, first.at_ns), key=_at_ns
            )
            last_ns = lap_ns
            for tick in lap:
                last_ns = tick.at_ns
                yield tick
            if not self._loop:
                return
            lap_ns = last_ns + _BETWEEN_LAPS_NS

    def _quotes(self, lap_ns: int, first_ns: int) -> Iterator[Tick]:
        for row in _rows(self._quotes_path, _QUOTES):
            bid_px, ask_px = row.read("bid_px", _above_zero), row.read("ask_px", _above_zero)
            if bid_px > ask_px:
                raise row.error("bid_px", "is above ask_px")
            yield QuoteTick(
                lap_ns + row.at_ns - first_ns,
                self._symbol,
                bid_px,
                row.read("bid_qty", _zero_or_more),
                ask_px,
                row.read("ask_qty", _zero_or_more),
            )

    def _trades(self, lap_ns: int, first_ns: int) -> Iterator[Tick]:
        for row in _rows(self._trades_path, _TRADES):
            yield TradeTick(
                lap_ns + max(0, row.at_ns - first_ns),
                self._symbol,
                row.read("trade_id", _whole),
                row.read("px", _above_zero),
                row.read("qty", _above_zero),
                row.read("buyer_is_maker", _boolean),
            )


class _Row:
    """One row, with what is needed to say where it is wrong."""

    def __init__(self, path: Path, line_no: int, cells: dict[str, str]) -> None:
        self._path = path
        self._line_no = line_no
        self._cells = cells
        self.at_ns = self.read("ts_ms", _whole) * _MS_NS

    def read(self, column: str, parse: Callable[[str], _T]) -> _T:
        """Return one cell, or raise the ConfigError that names it."""
        try:
            return parse(self._cells[column])
        except ValueError as error:
            raise self.error(column, str(error)) from None

    def error(self, column: str, what: str) -> ConfigError:
        """Return the error that says where and what."""
        cell = self._cells[column][:_CELL_SHOWN]
        return ConfigError(f"{self._path}, line {self._line_no}: {column} {cell!r} {what}")


def _rows(path: Path, header: tuple[str, ...]) -> Generator[_Row, None, None]:
    """Yield a file's rows, which never go back in time. The file is open while they are read."""
    try:
        file = path.open(encoding="ascii", errors="replace", newline="")
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from None
    with file:
        if _cells(file.readline(_LINE_MAX)) != list(header):
            raise ConfigError(f"{path}, line 1: the header is not {','.join(header)}")
        last_ns = 0
        line_no = 1
        while line := file.readline(_LINE_MAX):
            line_no += 1
            cells = _cells(line)
            if len(cells) != len(header):
                raise ConfigError(f"{path}, line {line_no}: {len(header)} columns are needed")
            row = _Row(path, line_no, dict(zip(header, cells, strict=True)))
            if row.at_ns < last_ns:
                raise row.error("ts_ms", "is before the row above")
            last_ns = row.at_ns
            yield row


def _cells(line: str) -> list[str]:
    return line.rstrip("\r\n").split(",")


def _at_ns(tick: Tick) -> int:
    return tick.at_ns


def _whole(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= _DIGITS_MAX):
        raise ValueError(f"is not a whole number of at most {_DIGITS_MAX} digits")
    return int(text)


def _boolean(text: str) -> bool:
    if text not in _BOOLEANS:
        raise ValueError("is neither true nor false")
    return _BOOLEANS[text]


def _zero_or_more(text: str) -> Decimal:
    value = parse_decimal(text)
    if value < 0:
        raise ValueError("is below 0")
    return value


def _above_zero(text: str) -> Decimal:
    value = parse_decimal(text)
    if value <= 0:
        raise ValueError("is not above 0")
    return value
