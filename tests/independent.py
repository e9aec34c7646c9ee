"""
The statistics a second time, from the exported journal alone, in pandas: formulas, not our code.

Floats, plain loops and whole columns: nothing here is fast or exact, and nothing is shared. Times
count from the first row: a float holds nanoseconds since 1970 only to a quarter of a microsecond.
"""

import math
from typing import Any

import pandas as pd

S = 1_000_000_000
STALE_S = 10
GRACE_S = {"1s": (1, 0.3), "5s": (5, 1.0)}


def tables(  # noqa: C901, PLR0912 - one plain pass over the rows, to be read from top to bottom
    rows: list[dict[str, Any]],
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Return orders, fills and sampled quotes of exported journal rows."""
    orders: dict[str, dict[str, Any]] = {}
    fills, quotes = [], []
    began, run = began_ns(rows), 0
    for row in rows:
        event, after = row["event"], row.get("after") or {}
        run += event["event"] == "daemon_started"
        if event["event"] == "quote_sampled":
            quotes.append(
                {
                    "at": event["at_ns"] - began,
                    "symbol": event["symbol"],
                    "mid": _mid(event["quote"]),
                }
            )
        if "cl_ord_id" not in event:
            continue
        order = orders.setdefault(event["cl_ord_id"], {"fees": 0.0, "retries": 0, "doubts": 0})
        order |= {"status": after["ord_status"]}
        at = event["at_ns"] - began
        match event["event"]:
            case "order_submitted":
                terms, arrival = event["terms"], event.get("arrival")
                order |= {
                    "created": at,
                    "run": run,
                    "symbol": terms["symbol"],
                    "s": 1 if terms["side"] == "buy" else -1,
                    "qty": float(terms["qty"]),
                    "px": _float(terms.get("px")),
                    "decision": _float(terms.get("decision_px")),
                    "strategy": terms.get("group", {}).get("strategy"),
                }
                if arrival and event["at_ns"] - arrival["at_ns"] <= STALE_S * S:
                    order["mid"] = _mid(arrival)
                    order["touch"] = float(arrival["ask_px" if order["s"] > 0 else "bid_px"])
            case "order_traded":
                order["fees"] += float(event.get("fee", 0))
                fills.append({"id": event["cl_ord_id"], "at": at, "run": run, "symbol": order["symbol"],
                              "s": order["s"], "q": float(event["last_qty"]),
                              "p": float(event["last_px"])})  # fmt: skip
            case "order_replaced":
                order["qty"] = float(event["qty"])
                order["px"] = _float(event.get("px")) or order["px"]
            case "request_retried":
                order["retries"] += 1
            case "request_doubted":
                order["doubts"] += 1
        if event.get("sent_at_ns") and "sent" not in order:
            order["sent"] = event["sent_at_ns"] - began
            if event["sent_at_ns"] - event["sent_quote"]["at_ns"] <= STALE_S * S:
                order["sent_mid"] = _mid(event["sent_quote"])
        if event["event"] in {"order_acknowledged", "order_traded"}:
            order.setdefault("acked", at)
        if event["event"] in {"order_canceled", "order_expired", "order_rejected"}:
            order.setdefault("closed", at)
            if "quote" in event and event["at_ns"] - event["quote"]["at_ns"] <= STALE_S * S:
                order.setdefault("end_mid", _mid(event["quote"]))
    frame = pd.DataFrame.from_dict(orders, orient="index")
    for column in (
        "mid",
        "touch",
        "decision",
        "px",
        "sent",
        "sent_mid",
        "acked",
        "closed",
        "end_mid",
    ):
        if column not in frame:
            frame[column] = math.nan
    return frame, pd.DataFrame(fills), pd.DataFrame(quotes, columns=["at", "symbol", "mid"])


def began_ns(rows: list[dict[str, Any]]) -> int:
    """Return when the first row was written."""
    return int(rows[0]["event"]["at_ns"])


def figures(rows: list[dict[str, Any]], now_ns: int) -> dict[str, Any]:
    """Return the figures of all orders in the rows."""
    orders, fills, quotes = tables(rows)
    now = now_ns - began_ns(rows)
    by_order = fills.assign(value=fills.q * fills.p).groupby("id")
    orders["Q"] = by_order.q.sum().reindex(orders.index).fillna(0.0)
    orders["paid"] = by_order.value.sum().reindex(orders.index).fillna(0.0)
    orders["first"] = by_order["at"].min().reindex(orders.index)
    orders["last"] = by_order["at"].max().reindex(orders.index)
    orders["first_run"] = by_order.run.min().reindex(orders.index)
    orders["last_run"] = by_order.run.max().reindex(orders.index)
    full = orders[orders.status == "filled"]
    told: dict[str, Any] = {
        "orders": len(orders),
        "outcomes": orders.status.value_counts().to_dict(),
        "fill_ratio_qty": orders.Q.sum() / orders.qty.sum(),
        "orders_any_fill": (orders.Q > 0).mean(),
        "orders_full_fill": len(full) / len(orders),
        "fees": orders.fees.sum(),
        "volume": orders.paid.sum(),
        "time_to_ack": _times((orders.acked - orders.sent).dropna()),
        "time_to_first_fill": _times((orders["first"] - orders.created).dropna())
        | {"across_restarts": int((orders.first_run > orders.run).sum())},
        "time_to_fill": _times((full["last"] - full.created).dropna())
        | {
            "across_restarts": int((full.last_run > full.run).sum()),
            "fills_across_restarts": int((fills.run > orders.run[fills.id].to_numpy()).sum()),
        },
        "filled_by": _curve(orders, full, now),
        "markout_1s": _markout(fills, quotes, "1s"),
        "shortfall": _shortfall(orders),
    }
    for name, column in (("slippage", "mid"), ("slippage_touch", "touch"),
                         ("slippage_decision", "decision"), ("slippage_limit", "px")):  # fmt: skip
        used = orders[(orders.Q > 0) & orders[column].notna()]
        cost, base = used.s * (used.paid - used.Q * used[column]), used.Q * used[column]
        told[name] = _cost(cost, base)
    used = orders[orders.sent_mid.notna() & orders.mid.notna()]
    told["delay"] = _cost(used.s * used.qty * (used.sent_mid - used.mid), used.qty * used.mid)
    return told


def _cost(cost: "pd.Series[float]", base: "pd.Series[float]") -> dict[str, float]:
    each = (cost / base * 1e4).sort_values().tolist()
    return {
        "n": len(each),
        "bps": cost.sum() / base.sum() * 1e4,
        "mean_bps": sum(each) / len(each),
        "p5_bps": _nearest(each, 0.05),
        "median_bps": _nearest(each, 0.5),
        "p95_bps": _nearest(each, 0.95),
    }


def _shortfall(orders: pd.DataFrame) -> dict[str, float]:
    """Perold's total, without our parts: what was paid over the paper portfolio's price."""
    done = orders[orders.status.isin(["filled", "canceled", "expired", "rejected"])]
    left = (done.qty - done.Q).clip(lower=0)
    used = done[done.mid.notna() & done.decision.notna() & ((left < 1e-12) | done.end_mid.notna())]
    left = (used.qty - used.Q).clip(lower=0)
    end = used.end_mid.fillna(used.decision)
    total = used.s * (used.paid - used.Q * used.decision) + used.s * left * (end - used.decision)
    return {"sum": (total + used.fees).sum(), **_cost(total + used.fees, used.qty * used.decision)}


def _markout(fills: pd.DataFrame, quotes: pd.DataFrame, name: str) -> dict[str, float]:
    after_s, grace_s = GRACE_S[name]
    gains: list[tuple[float, float]] = []
    for fill in fills.itertuples():
        due = fill.at + after_s * S
        near = quotes[(quotes.symbol == fill.symbol) & (quotes["at"] >= due)].sort_values("at")
        if len(near) and near.iloc[0]["at"] <= due + grace_s * S:
            gains.append((fill.q, fill.s * (near.iloc[0].mid - fill.p) / fill.p * 1e4))
    weight = sum(q for q, _ in gains)
    return {"n": len(gains), "bps": sum(q * gain for q, gain in gains) / weight}


def _times(took_ns: "pd.Series[float]") -> dict[str, float]:
    each = (took_ns / S).sort_values().tolist()
    return {
        "n": len(each),
        "mean_s": sum(each) / len(each),
        "p50_s": _nearest(each, 0.5),
        "p95_s": _nearest(each, 0.95),
        "p99_s": _nearest(each, 0.99),
    }


def _curve(orders: pd.DataFrame, full: pd.DataFrame, now: int) -> float:
    """Return where the product-limit estimate ends."""
    ends = [(took, 0) for took in (full["last"] - full.created) // 1000]
    rest = orders[orders.status != "filled"]
    ends += [(took, 1) for took in (rest.closed.fillna(now) - rest.created) // 1000]
    unfilled, at_risk = 1.0, len(ends)
    for _, is_censored in sorted(ends):
        unfilled *= 1.0 if is_censored else (at_risk - 1) / at_risk
        at_risk -= 1
    return 1 - unfilled


def _nearest(each: list[float], q: float) -> float:
    return each[max(math.ceil(q * len(each)) - 1, 0)]


def _mid(quote: dict[str, Any]) -> float:
    return (float(quote["bid_px"]) + float(quote["ask_px"])) / 2


def _float(value: Any) -> float:
    return math.nan if value is None else float(value)
