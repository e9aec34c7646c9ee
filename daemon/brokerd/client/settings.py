"""What a client is set to: the executor, group and window that stamp its submits and filter its loads."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, TypedDict, cast

from brokerd.client.trade import group_of
from brokerd.errors import InvalidParams
from brokerd.words import suggest

STATUSES = ("PENDING", "OPEN", "CLOSED", "CANCELLED")
TIME_TYPES = ("relative", "absolute")
TIMES_BY = ("created", "closed", "filled")


class Filters(TypedDict, total=False):
    """Which orders; what is left out does not filter."""

    status: str | Sequence[str]
    ord_status: str | Sequence[str]
    executor: str
    symbol: str
    side: str
    group: dict[str, str]
    time: dict[str, str]


class Settings:
    """What a broker stamps on submits and filters loads by."""

    def __init__(self, executor: str | None) -> None:
        self.executor = executor
        self.group: dict[str, str] = {}
        self.time: dict[str, str] = {}
        self.latest_group = False

    def set_group(self, group: Mapping[str, object]) -> None:
        """Replace the group; every value must be text."""
        self.group = group_of("group", group)

    def set_time(
        self,
        time_type: str | None,
        *,
        latest_group: bool,
        last: str | None,
        since: datetime | str | None,
        until: datetime | str | None,
        by: str,
    ) -> None:
        """Replace the window; None as time_type means all of time."""
        check_word("by", by, TIMES_BY)
        if time_type is None:
            unused = {"last": last, "since": since, "until": until}
            for field, value in unused.items():
                if value is not None:
                    raise InvalidParams(
                        f"{field} needs a time_type", field="time_type",
                        hint=f"known are {', '.join(TIME_TYPES)}",
                    )  # fmt: skip
            self.time = {}
        else:
            check_word("time_type", time_type, TIME_TYPES)
            told = {
                "last": last,
                "since": _moment("since", since),
                "until": _moment("until", until),
            }
            self.time = {"time_type": time_type, "by": by}
            self.time |= {field: value for field, value in told.items() if value is not None}
        self.latest_group = latest_group

    def filters(self, given: Filters) -> dict[str, Any]:
        """Return the filters of a question: what is given, else what is set."""
        return ({"time": self.time} if self.time else {}) | self.whose(given)

    def whose(self, given: Filters) -> dict[str, Any]:
        """Return the filters without the window that is set: whose orders, and what is given."""
        told: dict[str, Any] = dict(given)
        for name in {"status", "ord_status"} & told.keys():
            told[name] = _one_or_more(name, told[name])
        status = told.get("status")
        for each in [status] if isinstance(status, str) else status or ():
            check_word("status", each, STATUSES)
        told["group"] = {**self.group, **group_of("group", given.get("group") or {})}
        if self.executor is not None:
            told.setdefault("executor", self.executor)
        return told


class WithSettings:
    """A client that is set to something: what `Broker` and `AsyncBroker` share."""

    def __init__(self, executor: str | None) -> None:
        self._settings = Settings(executor)

    def group_settings(self, **group: str) -> None:
        """Stamp these group keys on submits, and filter loads by them; none for no group."""
        self._settings.set_group(group)

    def time_settings(
        self,
        time_type: str | None = None,
        *,
        latest_group: bool = False,
        last: str | None = None,
        since: datetime | str | None = None,
        until: datetime | str | None = None,
        by: str = "created",
    ) -> None:
        """
        Set the window of loads and statistics: "relative" with `last` as in "15m", or "absolute".

        `by` is the time that counts: created, closed or filled. With `latest_group` a load gives
        only the newest trade of each group. Without arguments: all of time, every trade.
        """
        self._settings.set_time(
            time_type, latest_group=latest_group, last=last, since=since, until=until, by=by
        )


def _one_or_more(field: str, words: object) -> str | list[str] | None:
    """Return a word as it is, and several as a list; None for none, which does not filter."""
    if words is None or isinstance(words, str):
        return words
    if not isinstance(words, Iterable):
        raise InvalidParams(f"{field} is a {type(words).__name__}", field=field, hint="it is text")
    return list(cast("Iterable[str]", words))


def check_word(field: str, word: str, known: Sequence[str]) -> None:
    """Raise InvalidParams for a word that is not known, with the nearest that is."""
    if word not in known:
        raise InvalidParams(
            f"there is no {field} {word!r}", reason=f"unknown_{field}", field=field,
            hint=suggest(word, known),
        )  # fmt: skip


def _moment(field: str, moment: datetime | str | None) -> str | None:
    if not isinstance(moment, datetime):
        return moment
    if moment.tzinfo is None:
        raise InvalidParams(
            f"{field} has no time zone", field=field, hint="datetime.now(UTC), for example"
        )
    return moment.isoformat()
