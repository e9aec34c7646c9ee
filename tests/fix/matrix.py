"""The FIX 4.4 order state change matrices as rows, the ways through them, and where we deviate."""

import tomllib
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).parent


class Row(NamedTuple):
    """One message of a scenario, as FIX prints it; numbers are text, blank where not carried."""

    scenario: str
    step: int
    branch: str
    sender: str
    message: str
    id: str
    orig_id: str
    exec_type: str
    ord_status: str
    order_qty: str
    cum_qty: str
    leaves_qty: str
    last_qty: str
    note: str

    @property
    def printed(self) -> str:
        """What FIX says is true after this message, in the words of `Deviation.fix`."""
        if self.sender != "venue":
            return "asked"
        if self.message == "cancel_reject":
            return self.ord_status
        return f"{self.ord_status} {self.order_qty}/{self.cum_qty}/{self.leaves_qty}"


class Deviation(NamedTuple):
    """One row where we knowingly do not show what FIX prints; quantities are order/cum/leaves."""

    scenario: str
    step: int
    sender: str
    fix: str
    ours: str


def read_rows() -> list[Row]:
    """Read every row of every matrix, in order."""
    with (HERE / "order_state_changes.tsv").open(encoding="utf-8") as file:
        lines = [line.rstrip("\n").split("\t") for line in file if not line.startswith("#")]
    return [Row(cells[0], int(cells[1]), *cells[2:]) for cells in lines[1:]]


def read_deviations() -> list[Deviation]:
    """Read the deviations of all named entries."""
    entries = tomllib.loads((HERE / "deviations.toml").read_text(encoding="utf-8"))
    return [Deviation(*row) for entry in entries["deviation"] for row in entry["rows"]]


def paths(rows: list[Row]) -> Iterator[list[Row]]:
    """Return every way through one scenario: each alternative as an end, each crossing both ways."""
    ways: list[list[Row]] = [[]]
    for _step, group in groupby(rows, key=lambda row: row.step):
        step = list(group)
        for way in ways:
            yield from ([*way, row] for row in step if row.branch == "or")
        main = [row for row in step if row.branch != "or"]
        orders = [main, main[::-1]] if main[0].branch == "cross" else [main]
        ways = [[*way, *order] for way in ways for order in orders]
    yield from ways
