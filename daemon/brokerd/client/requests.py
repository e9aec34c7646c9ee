"""What each of the client's methods asks of the daemon, and how its answer is read. No I/O."""

import warnings
from collections.abc import Sequence
from typing import Any, Generic, TypeVar

import msgspec
from msgspec import Raw, Struct

from brokerd.client.protocol import Request
from brokerd.client.settings import Filters, Settings, check_word
from brokerd.client.trade import Fill, Number, Order, Trade, decode_order, exact, loaded, terms
from brokerd.errors import InvalidParams
from brokerd.money import digits

T = TypeVar("T")

PAGE = 1000
LOOK_S = 60.0
"""How much longer than usual the daemon may take that looks at everything at a venue first."""

OUTCOMES = ("executed", "not_executed", "done")


class Page(Struct, Generic[T], frozen=True):
    """Trades or fills, newest first, and the cursor of the next page."""

    items: list[T]
    next_cursor: str | None


class _Orders(Struct, frozen=True):
    orders: list[Order]
    next_cursor: str | None


class _Fills(Struct, frozen=True):
    fills: list[Fill]
    next_cursor: str | None


decode_orders = msgspec.json.Decoder(_Orders).decode
decode_fills = msgspec.json.Decoder(_Fills).decode
read_any = msgspec.json.Decoder(dict[str, Any]).decode


def submit(
    settings: Settings, trade: Trade, *, wait: str, timeout_s: float | None
) -> Request[Order]:
    """Ask for a new order; a trade that was submitted before finds its order."""
    if not isinstance(trade, Trade):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise _no_trade(trade, "a Trade", 'Trade(symbol="BTCUSDT", ...)')
    trade.stamp(settings.group, settings.executor)
    params: dict[str, Any] = {**terms(trade), "wait": wait}
    if timeout_s is not None:
        params["timeout_s"] = timeout_s
    return Request("order.submit", params, decode_order, changes=True, cl_ord_id=trade.cl_ord_id)


def cancel(trade: Trade | str) -> Request[Order]:
    """Ask for a cancel."""
    cl_ord_id = _id(trade)
    params = {"cl_ord_id": cl_ord_id}
    return Request("order.cancel", params, decode_order, changes=True, cl_ord_id=cl_ord_id)


def cancel_all(settings: Settings, given: Filters) -> Request[dict[str, Any]]:
    """
    Ask for a cancel of every working order that matches.

    The window of the loads is not meant: an order is not to go on working because it is old.
    """
    return Request("order.cancel_all", settings.whose(given), read_any, changes=True)


def canceled(told: dict[str, Any]) -> list[str]:
    """Return the cl_ord_ids that a cancel of all was asked of, and warn of those it could not reach."""
    if out_of_reach := told.get("out_of_reach"):
        which = ", ".join(out_of_reach)
        what = f"not canceled, for their executors are not configured any more: {which}"
        warnings.warn(what, RuntimeWarning, stacklevel=3)
    return list(told["cl_ord_ids"])


def replace(trade: Trade | str, qty: Number | None, px: Number | None) -> Request[Order]:
    """
    Ask for another total quantity or limit price.

    Not repeated by itself: where the first one arrived, a second would find it under way.
    """
    cl_ord_id = _id(trade)
    params = {"cl_ord_id": cl_ord_id}
    for name, value in (("qty", qty), ("px", px)):
        if value is not None:
            params[name] = digits(exact(name, value))
    return Request(
        "order.replace", params, decode_order,
        changes=True, repeats=False, cl_ord_id=cl_ord_id,
    )  # fmt: skip


def resolve(
    trade: Trade | str, outcome: str, reason: str, venue_order_id: str | None
) -> Request[Order]:
    """Say what became of a request in doubt. Not repeated by itself: it may be refused the second time."""
    check_word("outcome", outcome, OUTCOMES)
    cl_ord_id = _id(trade)
    params = {"cl_ord_id": cl_ord_id, "outcome": outcome, "reason": reason}
    if venue_order_id is not None:
        params["venue_order_id"] = venue_order_id
    return Request(
        "order.resolve", params, decode_order,
        changes=True, repeats=False, cl_ord_id=cl_ord_id,
    )  # fmt: skip


def thaw(executor: str, reason: str) -> Request[dict[str, Any]]:
    """Let a frozen executor take new orders again."""
    params = {"executor": executor, "reason": reason}
    return Request("executor.thaw", params, read_any, changes=True, repeats=False)


def check(trade: Trade | str) -> Request[Order]:
    """Ask the venue."""
    return Request("order.check", {"cl_ord_id": _id(trade)}, decode_order)


def updated(trade: Trade | str, order: Order) -> Trade:
    """Return the trade with what the daemon says of it; a new one for a bare id."""
    if not isinstance(trade, Trade):
        return loaded(order)
    trade.update(order)
    return trade


def check_limit(limit: int | None) -> None:
    """Raise InvalidParams for what is no number of rows."""
    is_number = isinstance(limit, int) and not isinstance(limit, bool)
    if limit is not None and not (is_number and limit >= 0):
        raise InvalidParams(
            f"limit is {limit!r}", field="limit", hint="a whole number, or None for all"
        )


def page(
    settings: Settings, group_by: Sequence[str], cursor: str | None, given: Filters
) -> Request[Page[Trade]]:
    """Ask for a page of orders."""
    params = {
        **settings.filters(given),
        **_by(group_by),
        "latest_group": settings.latest_group,
        "limit": PAGE,
        "cursor": cursor,
    }
    return Request("order.list", params, _read_orders)


def fills(
    settings: Settings, trade: Trade | str | None, cursor: str | None, given: Filters
) -> Request[Page[Fill]]:
    """
    Ask for a page of fills, of one trade or of all that match; a fill has but one time.

    A trade that is named is meant whatever is set: only what is given filters its fills.
    """
    if trade is not None:
        settings = Settings(executor=None)
    params = {**settings.filters(given), "limit": PAGE, "cursor": cursor}
    if settings.time and "time" not in given:
        params["time"] = {**settings.time, "by": "filled"}
    if trade is not None:
        params["cl_ord_id"] = _id(trade)
    return Request("fill.list", params, _read_fills)


def stats(settings: Settings, group_by: Sequence[str], given: Filters) -> Request[dict[str, Any]]:
    """Ask for execution statistics."""
    return Request("stats.get", {**settings.filters(given), **_by(group_by)}, read_any)


def subscribe(after_seq: int | None, wanted: dict[str, Any]) -> Request[dict[str, Any]]:
    """Ask for events, from `after_seq` on or from now on."""
    position = {} if after_seq is None else {"after_seq": after_seq}
    return Request("events.subscribe", {**wanted, **position}, read_any)


def anything(method: str, params: dict[str, Any]) -> Request[Any]:
    """Call a method by its name; nothing is known of it, so that it is not repeated by itself."""
    changes = method == "executor.thaw" or (
        method.startswith("order.") and method not in _QUESTIONS
    )
    return Request(method, params, msgspec.json.decode, changes=changes, repeats=not changes)


_QUESTIONS = frozenset({"order.get", "order.check", "order.list", "order.explain"})


def _read_orders(raw: Raw) -> Page[Trade]:
    told = decode_orders(raw)
    return Page([loaded(order) for order in told.orders], told.next_cursor)


def _read_fills(raw: Raw) -> Page[Fill]:
    told = decode_fills(raw)
    return Page(told.fills, told.next_cursor)


def _by(group_by: Sequence[str]) -> dict[str, Any]:
    """Return the keys to group by as a param; no keys are no param."""
    keys = [group_by] if isinstance(group_by, str) else list(group_by)
    return {"group_by": keys} if keys else {}


def _id(trade: Trade | str) -> str:
    if isinstance(trade, str):
        return trade
    if not isinstance(trade, Trade):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise _no_trade(trade, "a Trade or its cl_ord_id", 'broker.cancel("my-order-1")')
    if trade.cl_ord_id is None:
        raise InvalidParams(
            "the trade was never submitted", reason="one_id_needed", field="cl_ord_id"
        )
    return trade.cl_ord_id


def _no_trade(given: object, wanted: str, example: str) -> InvalidParams:
    return InvalidParams(
        f"this takes {wanted}, not a {type(given).__name__}",
        reason="not_a_trade",
        hint=f"as in {example}",
    )
