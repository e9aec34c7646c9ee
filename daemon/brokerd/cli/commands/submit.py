"""Send a new order: `brokerctl submit BTCUSDT buy 0.01 --px 39400`."""

import os
import time
from argparse import Namespace

from brokerd.cli.arguments import SIDES, Parser, group_of, one_of, pair, utc_time
from brokerd.cli.control import Control
from brokerd.cli.errors import Exit, Unanswered
from brokerd.cli.views import order_columns

ORD_TYPES = ("market", "limit", "stop", "stop_limit")
TIMES_IN_FORCE = ("gtc", "ioc", "fok", "day", "gtd")
WAITS = ("journal", "venue")

VENUE_WAIT_S_MAX = 60.0
"""The longest the daemon holds an answer back for the venue's first word."""

_TYPE_HELP = f"{', '.join(ORD_TYPES)}: inferred from the prices if left out"
_TIF_HELP = "how long it is good for: ioc of a market order, else gtc, if left out"
_WAIT_HELP = "answer when it is on record (default), or at the venue's first word"

ANSWER_GRACE_S = 5.0
"""How much longer than the venue's time we wait for the daemon to say that it ran out."""


def add_options(parser: Parser) -> None:
    """Declare the terms of an order."""
    add = parser.add_argument
    add("symbol", metavar="SYMBOL", help="as the venue names it: BTCUSDT")
    add("side", metavar="SIDE", type=one_of(*SIDES), help="buy or sell")
    add("qty", metavar="QTY", help="in the base asset: how many BTC of BTCUSDT")
    add("--px", help="limit price, in the quote asset: USDT of BTCUSDT")
    add("--stop-px", metavar="PX", help="trigger price, in the quote asset")
    add("--type", type=one_of(*ORD_TYPES), metavar="TYPE", help=_TYPE_HELP)
    add("--tif", type=one_of(*TIMES_IN_FORCE), metavar="|".join(TIMES_IN_FORCE), help=_TIF_HELP)
    add("--expire-at", type=utc_time, metavar="TIME", help="with --tif gtd: when, RFC 3339")
    add("--post-only", action="store_true", help="refuse to take liquidity")
    add("--executor", metavar="NAME", help="which way to a venue; may be left out if there is one")
    add(
        "--group",
        type=pair,
        action="append",
        metavar="KEY=VALUE",
        help="stamped on the order; may be repeated",
    )
    add("--decision-px", metavar="PX", help="the price that made you decide, for statistics")
    add("--id", metavar="CL_ORD_ID", help="your own id, unique for ever; repeating it is safe")
    add("--wait", type=one_of(*WAITS), metavar="|".join(WAITS), help=_WAIT_HELP)


def run(control: Control, options: Namespace) -> Exit:
    """Submit under an id that is known before anything is sent, and show the order."""
    cl_ord_id = new_cl_ord_id() if options.id is None else options.id
    wait_s = min(control.timeout_s, VENUE_WAIT_S_MAX) if options.wait == "venue" else None
    try:
        order = control.tell(
            "order.submit",
            f"brokerctl order {cl_ord_id}",
            _params(options, cl_ord_id) | {"timeout_s": wait_s},
            timeout_s=wait_s + ANSWER_GRACE_S if wait_s else None,
        )
    except Unanswered as lost:
        lost.what += f"; the order is {cl_ord_id}"
        lost.hint += f" (sending it again with --id {cl_ord_id} is safe)"
        raise
    if control.out.is_json:
        control.out.record(order)
    else:
        control.out.table(order_columns(), [order])
    return control.verdict(order)


def new_cl_ord_id() -> str:
    """Return an id that no run on any host will make again: the second, and 48 random bits."""
    return time.strftime("ctl-%Y%m%dT%H%M%S-", time.gmtime()) + os.urandom(6).hex()


def _params(options: Namespace, cl_ord_id: str) -> dict[str, object]:
    return {
        "cl_ord_id": cl_ord_id,
        "executor": options.executor,
        "symbol": options.symbol,
        "side": options.side,
        "ord_type": options.type or inferred_type(options.px, options.stop_px),
        "qty": options.qty,
        "px": options.px,
        "stop_px": options.stop_px,
        "time_in_force": options.tif,
        "expire_at": options.expire_at,
        "post_only": options.post_only or None,
        "group": group_of(options),
        "decision_px": options.decision_px,
        "wait": options.wait,
    }


def inferred_type(px: str | None, stop_px: str | None) -> str:
    """Return the type that takes just the prices given."""
    if stop_px is not None:
        return "stop" if px is None else "stop_limit"
    return "market" if px is None else "limit"
