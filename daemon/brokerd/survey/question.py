"""What is asked of the survey, as the daemon hands it over, and which orders it means. Pure."""

from typing import Literal

import msgspec
from msgspec import Raw, Struct

from brokerd.params import Window
from brokerd.states import COARSE, OrdStatus, Status
from brokerd.stats.sample import Key
from brokerd.stats.tally import OWN_KEYS


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
    def has_terms(self) -> bool:
        """Whether orders are told apart by their terms."""
        return bool(self.executor or self.symbol or self.side or self.group)

    @property
    def group_keys(self) -> frozenset[str]:
        """Return the keys of groups that matter to the answer."""
        named = {key.removeprefix("group.") for key in self.group_by if key not in OWN_KEYS}
        return frozenset(named | self.group.keys())

    def means(self, key: Key) -> bool:
        """Whether an order with these terms is meant."""
        return (
            self.executor in {None, key.executor}
            and self.symbol in {None, key.symbol}
            and self.side in {None, key.side}
            and all(key.group.get(name) == value for name, value in self.group.items())
        )

    def means_final(self, ord_status: OrdStatus, *, is_filled: bool) -> bool:
        """Whether a settled order in that status, with a fill or without, is meant."""
        return (
            (is_filled or self.window.by != "filled")
            and (not self.ord_status or ord_status in self.ord_status)
            and (not self.status or COARSE[ord_status] in self.status)
        )


class Asked(Struct, frozen=True):
    """One line to the process: follow what has happened, and answer if something is asked."""

    id: int
    now_ns: int
    question: Question | None = None


class Answered(Struct, frozen=True):
    """One line back: the statistics, or how far the survey is behind."""

    id: int
    kind: Literal["done", "behind"]
    seq: int
    result: Raw = msgspec.field(default_factory=lambda: Raw(b"null"))


encode = msgspec.json.Encoder().encode
decode_asked = msgspec.json.Decoder(Asked).decode
decode_answered = msgspec.json.Decoder(Answered).decode
