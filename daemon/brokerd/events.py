"""
What the journal can say: one frozen record for each thing that happened, named in the past tense.

A record's tag (`event`) is also the name of its log line and of the notification a bot gets.
Names and fields are for ever: new fields need a default, a changed meaning needs a new event.
`road` says how we learned of it: bot, reply, stream, poll, query, daemon, operator.
`evidence` is the venue's own words or the fault we saw, for whoever asks later why.
"""

from decimal import Decimal
from enum import StrEnum
from typing import get_args

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from brokerd.money import ZERO
from brokerd.secrets import redact_text
from brokerd.terms import Quote, Terms

SCHEMA_VERSION = 1


class Road(StrEnum):
    """How a fact reached us."""

    BOT = "bot"
    REPLY = "reply"
    STREAM = "stream"
    POLL = "poll"
    QUERY = "query"
    DAEMON = "daemon"
    OPERATOR = "operator"


class RequestKind(StrEnum):
    """What we asked of a venue for one order."""

    NEW = "new"
    CANCEL = "cancel"
    REPLACE = "replace"


class Resolution(StrEnum):
    """
    What became of a request in doubt, by a person's word: it took effect, it did not and never will,
    or the order is over at the venue, whatever the request did.
    """

    EXECUTED = "executed"
    NOT_EXECUTED = "not_executed"
    DONE = "done"


def _tag(name: str) -> str:
    """OrderTraded -> order_traded."""
    return "".join(f"_{c.lower()}" if c.isupper() else c for c in name).lstrip("_")


class Event(Struct, frozen=True, kw_only=True, tag_field="event", tag=_tag, omit_defaults=True):
    """Anything on record. `at_ns` is the daemon's wall clock when it learned of it."""

    at_ns: int


def event_name(event: Event) -> str:
    """Return the name an event goes by on disk, in the log and to bots: `order_traded`."""
    return str(event.__struct_config__.tag)


def without_secrets(event: Event) -> Event:
    """Return the event with what looks like a secret blanked in the texts that came from outside."""
    blanked = {
        name: clean
        for name in _TOLD_OUTSIDE
        if (told := getattr(event, name, "")) and (clean := redact_text(told)) != told
    }
    return replace(event, **blanked) if blanked else event


_TOLD_OUTSIDE = ("evidence", "reason", "code")


class DaemonStarted(Event, frozen=True, kw_only=True, tag=_tag):
    """A run began. `epoch` is random and part of every client id this run sends to a venue."""

    version: str
    epoch: str
    schema_version: int = SCHEMA_VERSION


class DaemonStopped(Event, frozen=True, kw_only=True, tag=_tag):
    """A run ended in order; a run without this row was killed."""

    reason: str


class ExecutorEvent(Event, frozen=True, kw_only=True, tag=_tag):
    """Anything that happened to one executor, rather than to an order."""

    executor: str


class ExecutorChanged(ExecutorEvent, frozen=True, kw_only=True, tag=_tag):
    """An executor's link changed: starting, syncing, up, down or frozen, and why."""

    state: str
    reason: str = ""


class ExecutorSynced(ExecutorEvent, frozen=True, kw_only=True, tag=_tag):
    """
    All that the venue had done by `synced_ns` was asked for and is on record: the next run begins
    to look there. Noted once in a while, not at each look.
    """

    synced_ns: int


class ExecutorPaused(ExecutorEvent, frozen=True, kw_only=True, tag=_tag):
    """The venue wants to be left alone until `paused_until_ns`: a ban, a Retry-After, and why."""

    paused_until_ns: int
    reason: str = ""


class ExecutorThawed(ExecutorEvent, frozen=True, kw_only=True, tag=_tag):
    """A person let a frozen executor take new orders again, and why; its link is `state`."""

    by: str
    reason: str
    state: str


class QuoteSampled(Event, frozen=True, kw_only=True, tag=_tag):
    """The market of a symbol at a moment that a fill's markout was due: see `stats.marks`."""

    executor: str
    symbol: str
    quote: Quote


class OrderEvent(Event, frozen=True, kw_only=True, tag=_tag):
    """Anything that happened to one order."""

    cl_ord_id: str
    road: Road = Road.DAEMON
    evidence: str = ""


class OrderSubmitted(OrderEvent, frozen=True, kw_only=True, tag=_tag):
    """
    The bot's order is on record and about to be sent under `venue_cl_ord_id`.

    `arrival` is the market when the daemon had it, `base_asset` what is traded, `quote_asset` what
    its prices are in, and `is_paper` says that no real money moves.
    """

    venue_cl_ord_id: str
    terms: Terms
    arrival: Quote | None = None
    quote_asset: str = ""
    is_paper: bool = False
    base_asset: str = ""


class OrderAdopted(OrderSubmitted, frozen=True, kw_only=True, tag=_tag):
    """An open order of other origin was seen at the venue: it is followed, and never touched."""

    venue_order_id: str


class OrderAcknowledged(OrderEvent, frozen=True, kw_only=True, tag=_tag):
    """The venue has the order. `sent_quote` is the market when it was sent."""

    venue_order_id: str
    sent_at_ns: int | None = None
    sent_quote: Quote | None = None
    venue_at_ns: int | None = None


class OrderTraded(OrderEvent, frozen=True, kw_only=True, tag=_tag):
    """
    One execution, counted once by `exec_id`. `fee` below 0 is a rebate.

    `quote` is the market when we learned of it, `sent_quote` when the order was sent.
    """

    exec_id: str
    last_qty: Decimal
    last_px: Decimal
    venue_order_id: str | None = None
    fee: Decimal = ZERO
    fee_asset: str = ""
    liquidity: str = ""
    sent_at_ns: int | None = None
    venue_at_ns: int | None = None
    sent_quote: Quote | None = None
    quote: Quote | None = None


class OrderReplaced(OrderEvent, frozen=True, kw_only=True, tag=_tag):
    """The order's total quantity and limit price at the venue are now these."""

    qty: Decimal
    px: Decimal | None = None
    venue_order_id: str | None = None
    replace_no: int | None = None
    venue_at_ns: int | None = None


class OrderDone(OrderEvent, frozen=True, kw_only=True, tag=_tag):
    """
    Base of the venue's last words. `cum_qty` is what the venue says was filled, if it says.

    `quote` is the market when we learned of it.
    """

    reason: str = ""
    code: str = ""
    venue_order_id: str | None = None
    cum_qty: Decimal | None = None
    venue_at_ns: int | None = None
    quote: Quote | None = None


class OrderCanceled(OrderDone, frozen=True, kw_only=True, tag=_tag):
    """The venue took the rest of the order off its book."""


class OrderExpired(OrderDone, frozen=True, kw_only=True, tag=_tag):
    """The order's time ran out, or what could not trade at once was dropped."""


class OrderRejected(OrderDone, frozen=True, kw_only=True, tag=_tag):
    """The order never worked at the venue: refused there, or proved never to have arrived."""


class CancelRequested(OrderEvent, frozen=True, kw_only=True, tag=_tag):
    """A cancel is wanted: on its way, or (`queued`) waiting for another request's outcome."""

    queued: bool = False


class ReplaceRequested(OrderEvent, frozen=True, kw_only=True, tag=_tag):
    """A replace is about to be sent; `replace_no` counts this order's replaces from 1."""

    qty: Decimal
    px: Decimal | None
    replace_no: int


class RequestRetried(OrderEvent, frozen=True, kw_only=True, tag=_tag):
    """The request is about to be sent again: it did not happen, or may safely be repeated."""

    request: RequestKind
    attempt: int


class RequestRefused(OrderEvent, frozen=True, kw_only=True, tag=_tag):
    """A cancel or replace certainly did not happen; the order is as it was."""

    request: RequestKind
    reason: str
    code: str = ""


class RequestDoubted(OrderEvent, frozen=True, kw_only=True, tag=_tag):
    """
    The request may or may not have happened.

    After `final_at_ns` the request can no longer arrive at the venue, so that a complete "not
    found" becomes evidence; None means the venue promises no such time. `is_taken` says that the
    venue has the request and did not tell what comes of it.
    """

    request: RequestKind
    final_at_ns: int | None = None
    is_taken: bool = False


class RequestResolved(OrderEvent, frozen=True, kw_only=True, tag=_tag):
    """
    A person said what became of a request in doubt: who, and why they know.

    `venue_order_id` is where they saw the order at the venue.
    """

    request: RequestKind
    outcome: Resolution
    by: str
    reason: str
    venue_order_id: str | None = None


class OrderNotFound(OrderEvent, frozen=True, kw_only=True, tag=_tag):
    """
    The venue, asked when it could no longer be early, knows nothing of the order.

    The first of the two proofs that absence needs; the second ends the order.
    """


class FillsMissed(OrderEvent, frozen=True, kw_only=True, tag=_tag):
    """The venue's filled quantity is above the sum of the executions we have: they are fetched."""

    cum_qty: Decimal


class ReportDisputed(OrderEvent, frozen=True, kw_only=True, tag=_tag):
    """The venue said something that contradicts what it said before: recorded, not applied."""

    exec_type: str


class After(Struct, gc=False, frozen=True, omit_defaults=True):
    """What the order was right after an event: what bots are told, and what replay must repeat."""

    ord_status: str
    cum_qty: Decimal
    leaves_qty: Decimal
    avg_px: Decimal | None = None
    request: RequestKind | None = None
    in_doubt: bool = False


AnyEvent = (
    DaemonStarted
    | DaemonStopped
    | ExecutorChanged
    | ExecutorSynced
    | ExecutorPaused
    | ExecutorThawed
    | QuoteSampled
    | OrderSubmitted
    | OrderAdopted
    | OrderAcknowledged
    | OrderTraded
    | OrderReplaced
    | OrderCanceled
    | OrderExpired
    | OrderRejected
    | CancelRequested
    | ReplaceRequested
    | RequestRetried
    | RequestRefused
    | RequestDoubted
    | RequestResolved
    | OrderNotFound
    | FillsMissed
    | ReportDisputed
)


EVENT_NAMES = frozenset(str(kind.__struct_config__.tag) for kind in get_args(AnyEvent))
"""What an event may be called: what a subscription can ask for."""


class Entry(Struct, gc=False, frozen=True, omit_defaults=True):
    """The body of one journal row: the event, and for an order what it left behind."""

    event: AnyEvent
    after: After | None = None


encode_entry = msgspec.json.Encoder(decimal_format="string").encode
decode_entry = msgspec.json.Decoder(Entry).decode
