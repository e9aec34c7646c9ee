"""What is asked of the survey, as the daemon hands it over, and which orders it means. Pure."""

from typing import Literal

import msgspec
from msgspec import Raw, Struct

from brokerd.params import Window
from brokerd.states import COARSE, FINAL, OrdStatus, Status
from brokerd.stats.sample import Key
from brokerd.stats.tally import OWN_KEYS

FILLED = "filled"
"""The value of the dimension `is_filled` where there is a fill; else it has none."""


def dim_of(name: str) -> str:
    """Return the dimension that a name of `group_by` means."""
    return name if name in OWN_KEYS else f"group.{name.removeprefix('group.')}"


class Question(Struct, frozen=True, kw_only=True):
    """Whose figures over which window, by what; `seq` is the journal row that must be in."""

    seq: int
    now_ns: int
    window: Window = Window()
    status: tuple[Status, ...] = ()
    ord_status: tuple[OrdStatus, ...] = ()
    executor: str | None = None
    symbol: str | None = None
    side: str | None = None
    group: dict[str, str] = {}
    group_by: tuple[str, ...] = ()
    limit: int = 100

    @property
    def terms(self) -> dict[str, str]:
        """Return what orders must have, by dimension."""
        own = {"executor": self.executor, "symbol": self.symbol, "side": self.side}
        return {f"group.{name}": value for name, value in self.group.items()} | {
            dim: value for dim, value in own.items() if value is not None
        }

    @property
    def conditions(self) -> dict[str, frozenset[str]]:
        """Return the values that each dimension of a settled order must have one of."""
        meant = {dim: frozenset({value}) for dim, value in self.terms.items()}
        if self.status or self.ord_status:
            meant["ord_status"] = frozenset(
                final.value
                for final in FINAL
                if (not self.ord_status or final in self.ord_status)
                and (not self.status or COARSE[final] in self.status)
            )
        if self.window.by == "filled":
            meant["is_filled"] = frozenset({FILLED})
        return meant

    @property
    def dims(self) -> tuple[str, ...]:
        """Return the dimensions that matter to the answer."""
        return tuple(sorted({dim_of(name) for name in self.group_by} | self.conditions.keys()))

    @property
    def is_of_any_time(self) -> bool:
        """Whether orders of any time and status are meant: only their terms matter."""
        return self.window == Window() and not self.status and not self.ord_status

    def means(self, key: Key) -> bool:
        """Whether an order with these terms is meant."""
        return (
            self.executor in {None, key.executor}
            and self.symbol in {None, key.symbol}
            and self.side in {None, key.side}
            and all(key.group.get(name) == value for name, value in self.group.items())
        )


class Asked(Struct, frozen=True):
    """One line to the process: follow what has happened, and answer if something is asked."""

    id: int
    now_ns: int
    question: Question | None = None


class Answered(Struct, frozen=True):
    """One line back: the statistics, or how far the survey has come, or `why` there are none."""

    id: int
    kind: Literal["done", "behind", "refused", "failed"]
    seq: int
    result: Raw = msgspec.field(default_factory=lambda: Raw(b"null"))
    why: str = ""


encode = msgspec.json.Encoder().encode
decode_asked = msgspec.json.Decoder(Asked).decode
decode_answered = msgspec.json.Decoder(Answered).decode
