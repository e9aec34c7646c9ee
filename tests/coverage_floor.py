"""
Hold the pure rules to 100 % branch coverage: read what `pytest --cov` left in .coverage.

Prints a short table; exit status 1 names the files and what was not run, 2 says there is no data.
"""

# ruff: noqa: T201 - a program that prints

import sys
from pathlib import Path

from coverage import Coverage
from coverage.exceptions import CoverageException

RULES = (
    "money",
    "terms",
    "events",
    "states",
    "orders",
    "fold",
    "limits",
    "bounds",
    "blotter",
    "executor",
    "outcomes",
    "messages",
    "commands",
    "evidence",
    "merge",
    "doubt",
    "resolving",
    "broker",
    "gate",
    "reconcile",
    "views",
    "rpc",
    "params",
    "filters",
    "words",
    "ids",
    "scorecard/shapes",
    "scorecard/show",
    "stats/figures",
    "stats/marks",
    "stats/replay",
    "stats/runs",
    "stats/sample",
    "stats/tally",
    "survey/cells",
    "survey/pace",
    "survey/question",
    "cli/activity",
    "cli/figures",
    "cli/plots",
    "cli/statviews",
    "cli/topview",
    "cli/report/axes",
    "cli/report/charts",
    "cli/report/measures",
    "cli/report/page",
    "cli/report/svg",
    "cli/report/tables",
)
WIRE = (
    "alpaca/wire",
    "alpaca/chains",
    "alpaca/reports",
    "alpaca/requests",
    "alpaca/rules",
    "alpaca/outcomes",
    "binance/events",
    "binance/limits",
    "binance/names",
    "binance/orders",
    "binance/outcomes",
    "binance/replies",
    "binance/requests",
    "binance/shapes",
    "binance/signing",
    "binance/symbols",
    "ccxt/outcomes",
    "ccxt/promises",
    "ccxt/words",
    "kit/limits",
    "kit/links",
    "venue/faults",
    "venue/orders",
    "venue/wirelog",
    "venue/binance/errors",
    "venue/binance/filters",
    "venue/binance/frames",
    "venue/binance/keys",
    "venue/binance/limits",
    "venue/binance/params",
    "venue/binance/shapes",
    "venue/binance/words",
)
"""What adapters read and write, without a socket."""

ROOT = Path(__file__).resolve().parent.parent
DAEMON = ROOT / "daemon" / "brokerd"
ADAPTERS = ROOT / "adapters" / "brokerd_adapters"


def gaps(coverage: Coverage, path: Path) -> tuple[int, list[str]]:
    """Return how many lines a file has to run, and in words which lines and branches were not."""
    _, statements, _, missing, _ = coverage.analysis2(str(path))
    branches = coverage.branch_stats(str(path))
    half = sorted(line for line, (exits, taken) in branches.items() if taken < exits)
    told = [str(line) for line in missing]
    told += [f"{line} (a branch)" for line in half if line not in missing]
    return len(statements), told


def main() -> int:
    """Print the table; return the exit status."""
    coverage = Coverage(data_file=str(ROOT / ".coverage"), config_file=str(ROOT / "pyproject.toml"))
    coverage.load()
    measured = {Path(name).resolve() for name in coverage.get_data().measured_files()}
    if not measured or not coverage.get_data().has_arcs():
        print("no branch coverage was measured: run pytest --cov first", file=sys.stderr)
        return 2
    is_whole = True
    paths = {name: DAEMON / f"{name}.py" for name in RULES}
    paths |= {name: ADAPTERS / f"{name}.py" for name in WIRE}
    for name, path in paths.items():
        lines, told = gaps(coverage, path) if path in measured else (0, ["never imported"])
        is_whole = is_whole and not told
        print(f"{name:<15} {lines:>4} lines  {'not run: ' + ', '.join(told) if told else '100 %'}")
    return 0 if is_whole else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except CoverageException as error:
        print(f"the coverage data cannot be read: {error}", file=sys.stderr)
        sys.exit(2)
