"""
The pictures. Each takes figures and returns SVG, or "" where there is nothing to draw.

Values beyond the edge of a picture are drawn at the edge and counted in words: an outlier must
neither hide nor flatten the rest.
"""

import math
from collections.abc import Sequence

from brokerd.cli.figures import bps, count, decimal, n_of, span
from brokerd.cli.jsontext import Record, as_record, as_records
from brokerd.cli.report.axes import Axis, padded, round_ticks
from brokerd.cli.report.measures import STAGES, Measured, nearest_rank
from brokerd.cli.report.svg import (
    BOTTOM,
    HEIGHT,
    LEFT,
    RIGHT,
    TOP,
    WIDTH,
    Place,
    box,
    dots,
    line,
    path,
    picture,
    text,
    x_axis,
    y_axis,
)

BINS = 36
DOTS_MAX = 1_500
CURVES_MAX = 5
OUTCOMES_MAX = 10
NAME_MAX = 28
LETTER = 6.0
"""How wide a letter of a label is at most, on average."""
EDGE_SHARE = 0.01
"""What is beyond this quantile, at either end, is drawn at the edge."""

FLOOR = HEIGHT - BOTTOM


def histogram(values: Sequence[float], marks: Sequence[tuple[str, float, str]]) -> str:
    """Draw how many orders had which slippage (bps); `marks` are lines: label, value, style."""
    if not values:
        return ""
    low, high, width = _bins(*_inner_range(values, [mark for _, mark, _ in marks]))
    across = Axis(low, high, LEFT, WIDTH - RIGHT)
    counts = [0] * round((high - low) / width)
    for value in values:
        counts[min(max(math.floor((value - low) / width), 0), len(counts) - 1)] += 1
    up = Axis(0, max(counts) * 1.18, FLOOR, TOP)
    parts = [
        y_axis(
            up, [(tick, f"{tick:g}") for tick in up.ticks if tick == int(tick)], LEFT, WIDTH - RIGHT
        )
    ]
    for number, many in enumerate(counts):
        begin, end = low + number * width, low + (number + 1) * width
        if many:
            style = "cost" if begin >= width / 2 else "gain" if end <= -width / 2 else "even"
            corner = (across.at(begin) + 0.5, up.at(many))
            told = f"{bps(begin)} to {bps(end)} bps: {count(many)} orders"
            size = across.at(end) - across.at(begin) - 1
            parts.append(box(corner, size, FLOOR - up.at(many), style, told))
    parts.append(
        x_axis(
            across, [(tick, f"{tick:g}") for tick in across.ticks], FLOOR, "bps; above 0 is worse"
        )
    )
    parts += _marks(across, marks)
    return picture("Histogram of slippage by order", parts)


def _bins(low: float, high: float) -> tuple[float, float, float]:
    """Return a range widened to whole bins, none of them across zero, and the bins' round width."""
    ticks = round_ticks(low, high, BINS)
    width = ticks[1] - ticks[0]
    return math.floor(low / width) * width, math.ceil(high / width) * width, width


def _marks(across: Axis, marks: Sequence[tuple[str, float, str]]) -> list[str]:
    """Draw lines with their labels outside; one that finds no room there stands inside, lower."""
    parts: list[str] = []
    for number, (label, value, style) in enumerate(sorted(marks, key=lambda mark: mark[1])):
        place = across.at(value)
        is_left = number < len(marks) / 2
        length = 5 + len(label) * LETTER
        is_inside = place < length if is_left else place + length > WIDTH
        is_left ^= is_inside
        words = (place + (-5 if is_left else 5), TOP + (21 if is_inside else 9))
        parts.append(line((place, TOP), (place, FLOOR), style))
        parts.append(text(words, label, f"{style} label", "end" if is_left else ""))
    return parts


def fill_curves(rows: Sequence[tuple[str, Record]]) -> str:
    """Draw P(filled by t), one curve for each named row of stats.get, t growing by factors."""
    curves = [(name, _steps(row)) for name, row in rows[:CURVES_MAX]]
    curves = [(name, steps) for name, steps in curves if steps]
    if not curves:
        return ""
    moments = [max(at_s, 1e-6) for _, steps in curves for at_s, _ in steps]
    across = Axis(min(moments) / 1.5, max(moments) * 1.5, LEFT, WIDTH - RIGHT, log=True)
    up = Axis(0, 1, FLOOR, TOP + 4)
    parts = [y_axis(up, [(tick / 4, f"{tick * 25}%") for tick in range(5)], LEFT, WIDTH - RIGHT)]
    parts.append(x_axis(across, [(t, _span(t)) for t in across.ticks], FLOOR, "since receipt"))
    for number, (name, steps) in enumerate(curves):
        style = f"curve c{number}"
        parts.append(path(_stairs(steps, across, up), style))
        parts.append(text((LEFT + 10, TOP + 14 + number * 15), name, f"c{number} label"))
    return picture("Share of orders filled by the time since receipt", parts)


def _steps(row: Record) -> list[tuple[float, float]]:
    points = [
        (decimal(p.get("after_s")), decimal(p.get("share")))
        for p in as_records(row.get("filled_by"))
    ]
    return [(float(t), float(share)) for t, share in points if t is not None and share is not None]


def _stairs(steps: Sequence[tuple[float, float]], across: Axis, up: Axis) -> list[Place]:
    places, share = [(across.begin, up.at(0))], 0.0
    for at_s, reached in steps:
        places += [
            (across.at(max(at_s, across.low)), up.at(share)),
            (across.at(max(at_s, across.low)), up.at(reached)),
        ]
        share = reached
    return [*places, (across.end, up.at(share))]


def scatter(orders: Sequence[Measured]) -> str:
    """Draw slippage against size, with the median of each fifth of the orders by size."""
    known = sorted((float(o.size), float(o.bps)) for o in orders if o.size and o.bps is not None)
    if not known:
        return ""
    low, high = _inner_range([paid for _, paid in known], [])
    smallest, largest = known[0][0], known[-1][0]
    across = Axis(smallest / 1.3, largest * 1.3, LEFT, WIDTH - RIGHT, log=True)
    up = Axis(low, high, FLOOR, TOP)
    parts = [y_axis(up, [(tick, f"{tick:g}") for tick in up.ticks], LEFT, WIDTH - RIGHT)]
    parts.append(line((LEFT, up.at(0)), (WIDTH - RIGHT, up.at(0)), "zero"))
    shown = known[:: max(math.ceil(len(known) / DOTS_MAX), 1)]
    parts.append(
        dots([(across.at(size), up.at(paid)) for size, paid in shown if up.holds(paid)], "dots")
    )
    parts.append(
        dots([(across.at(size), up.at(paid)) for size, paid in shown if not up.holds(paid)], "far")
    )
    medians = _medians(known)
    parts.append(path([(across.at(size), up.at(paid)) for size, paid in medians], "median"))
    parts.append(
        x_axis(
            across,
            [(tick, f"{tick:,g}") for tick in across.ticks],
            FLOOR,
            "value filled, quote currency",
        )
    )
    parts.append(text((LEFT + 8, TOP + 9), "bps; above 0 is worse. line: median by size", "label"))
    return picture("Slippage against size", parts)


def _medians(known: Sequence[tuple[float, float]]) -> list[Place]:
    fifths = [known[len(known) * n // 5 : len(known) * (n + 1) // 5] for n in range(5)]
    return [
        (
            nearest_rank([size for size, _ in fifth], 0.5),
            nearest_rank(sorted(paid for _, paid in fifth), 0.5),
        )
        for fifth in fifths
        if fifth
    ]


def stages(orders: Sequence[Measured]) -> str:
    """Draw how long each stage of an order took: from p5 to p95, with the median."""
    lengths = {
        stage: sorted(o.stages_s[stage] for o in orders if stage in o.stages_s) for stage in STAGES
    }
    there = [(stage, took) for stage, took in lengths.items() if took]
    if not there:
        return ""
    ends = [max(nearest_rank(took, q), 1e-6) for _, took in there for q in (0.05, 0.95)]
    across = Axis(min(ends) / 1.6, max(ends) * 1.6, 160, WIDTH - 20, log=True)
    parts = [x_axis(across, [(t, _span(t)) for t in across.ticks], FLOOR, "p5 to p95, dot: median")]
    for number, (stage, took) in enumerate(there):
        height = TOP + 20 + number * (FLOOR - TOP - 10) / len(STAGES)
        low, middle, high = (nearest_rank(took, share) for share in (0.05, 0.5, 0.95))
        length = across.at(high) - across.at(low)
        parts.append(text((150, height + 4), stage, "tick", "end"))
        parts.append(box((across.at(low), height - 5), max(length, 2), 10, "stage"))
        parts.append(dots([(across.at(middle), height)], "middle"))
        parts.append(
            text(
                (across.at(middle), height - 9),
                f"{span(middle)}, n {count(len(took))}",
                "label",
                "middle",
            )
        )
    return picture("Stages of an order from receipt to done", parts)


def outcomes(row: Record) -> str:
    """Draw how many orders ended how, and why those that did not fill did not."""
    told = [(name, many, "stage") for name, many in as_record(row.get("outcomes")).items()]
    for ending in ("rejected", "canceled", "expired"):
        reasons = as_record(row.get(ending)).items()
        told += [(f"{ending}: {reason or 'unsaid'}", many, "reason") for reason, many in reasons]
    there = [(name, many, style) for name, many, style in told if isinstance(many, int)]
    if not there:
        return ""
    shown = [*sorted(there, key=_as_listed)[:OUTCOMES_MAX]]
    room = min((FLOOR - TOP) / len(shown), 30)
    across = Axis(0, max(many for _, many, _ in shown), 190, WIDTH - 60)
    parts: list[str] = []
    for number, (name, many, style) in enumerate(shown):
        height = TOP + 8 + room * number
        parts.append(text((180, height + room * 0.35 + 4), shortened(name), "tick", "end"))
        parts.append(box((190, height), max(across.at(many) - 190, 1), room * 0.7, style, name))
        parts.append(text((across.at(many) + 6, height + room * 0.35 + 4), count(many), "label"))
    return picture("How orders ended", parts)


def _as_listed(told: tuple[str, int, str]) -> tuple[bool, int]:
    """Statuses first, then reasons, the most frequent first."""
    return told[2] == "reason", -told[1]


def shortened(words: str) -> str:
    """Cut a text from outside to what fits beside a bar."""
    return words if len(words) <= NAME_MAX else f"{words[: NAME_MAX - 3]}..."


def markouts(row: Record) -> str:
    """Draw where the market went after our fills: from p5 to p95 of the fills, with the weighted mean."""
    figures = [(h, as_record(f)) for h, f in as_record(row.get("markout_bps")).items()]
    known = [(h, f) for h, f in figures if decimal(f.get("bps")) is not None]
    if not known:
        return ""
    names = ("p5_bps", "bps", "p95_bps")
    values = [[float(decimal(f.get(name)) or 0) for name in names] for _, f in known]
    up = Axis(*padded([each for three in values for each in three], around=0.0), FLOOR, TOP)
    parts = [y_axis(up, [(tick, f"{tick:g}") for tick in up.ticks], LEFT, WIDTH - RIGHT)]
    parts.append(line((LEFT, up.at(0)), (WIDTH - RIGHT, up.at(0)), "zero"))
    room = (WIDTH - RIGHT - LEFT) / len(known)
    means: list[Place] = []
    for number, ((horizon, figure), (low, mean, high)) in enumerate(
        zip(known, values, strict=True)
    ):
        middle = LEFT + room * (number + 0.5)
        parts.append(box((middle - 7, up.at(high)), 14, up.at(low) - up.at(high), "stage"))
        parts.append(text((middle + 12, up.at(mean) - 6), bps(figure.get("bps")), "label"))
        parts.append(text((middle, FLOOR + 14), f"after {horizon}", "tick", "middle"))
        parts.append(text((middle, FLOOR + 28), f"n {n_of(figure)}", "tick", "middle"))
        means.append((middle, up.at(mean)))
    return picture(
        "Markouts of fills by horizon", [*parts, path(means, "median"), dots(means, "middle")]
    )


def _inner_range(values: Sequence[float], others: Sequence[float]) -> tuple[float, float]:
    """Return a range that holds all but the outermost values, zero, and the others."""
    ordered = sorted(values)
    ends = [nearest_rank(ordered, EDGE_SHARE), nearest_rank(ordered, 1 - EDGE_SHARE)]
    return padded([*ends, *others], around=0.0)


def _span(took_s: float) -> str:
    """Return a tick's time without digits that say nothing."""
    return span(took_s).replace(".0 ", " ").replace(".00 ", " ")
