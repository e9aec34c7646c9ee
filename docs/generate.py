"""
Generate the parts of the documentation that repeat the code, so that they cannot drift from it.

    python -m docs.generate            write every generated part anew
    python -m docs.generate --check    exit 1 if one is stale

A part stands in docs/*.md between `<!-- generated: NAME -->` and `<!-- end -->`. To add one, write
a function here that returns its Markdown, decorate it with `@part`, and put the two markers where
it belongs: NAME is the function's name with dashes.
"""

import argparse
import ast
import itertools
import re
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

from docs.options import options
from docs.shell import FILES
from msgspec import Struct
from msgspec.structs import fields, replace

from brokerd import errors
from brokerd.config.load import config_reference
from brokerd.contract import METHODS, Method
from brokerd.discover import openrpc
from brokerd.errors import BrokerdError, OutcomeUnknown, Refused, VenueRefused, VenueUnavailable
from brokerd.events import AnyEvent, Event, OrderEvent, RequestKind
from brokerd.executor import Capabilities
from brokerd.outcomes import OutcomeTable
from brokerd.states import COARSE, FINAL, RESOLVED, TRANSITIONS, ExecType, OrdStatus
from brokerd_adapters.alpaca import AlpacaConfig
from brokerd_adapters.alpaca.outcomes import OUTCOMES as ALPACA
from brokerd_adapters.binance import BinanceConfig
from brokerd_adapters.binance.outcomes import OUTCOMES as BINANCE
from brokerd_adapters.ccxt import CcxtConfig
from brokerd_adapters.ccxt.outcomes import OUTCOMES as CCXT
from brokerd_adapters.paper import PaperConfig
from brokerd_adapters.paper.outcomes import OUTCOMES as PAPER

DOCS = Path(__file__).parent
ROOT = DOCS.parent
DEVIATIONS = ROOT / "tests" / "fix" / "deviations.toml"
MARKED = re.compile(
    r"(?P<open><!-- generated: (?P<name>[a-z0-9-]+) -->\n).*?(?P<close><!-- end -->)", re.DOTALL
)
PARTS: dict[str, Callable[[], str]] = {}


def part(render: Callable[[], str]) -> Callable[[], str]:
    """Register a function that returns one generated part as Markdown."""
    PARTS[render.__name__.replace("_", "-")] = render
    return render


@part
def order_state_diagram() -> str:
    """Draw the order's statuses and what moves it between them; what leaves it alone is left out."""
    lines = ["```mermaid", "stateDiagram-v2", f"    [*] --> {OrdStatus.PENDING_NEW}: submitted"]
    for status, row in TRANSITIONS.items():
        causes: dict[OrdStatus, list[str]] = {}
        for exec_type, after in row.items():
            if after is not status:
                causes.setdefault(after, []).append(exec_type)
        lines += [f"    {status} --> {after}: {', '.join(e)}" for after, e in causes.items()]
    lines += [f"    {status} --> [*]" for status in TRANSITIONS if status in FINAL]
    return "\n".join([*lines, "```"])


@part
def order_transitions() -> str:
    """Show the whole table: a report's row is the status before it, the cell the one after."""
    reports = [exec_type for exec_type in ExecType if exec_type is not ExecType.TRADE]
    rows = [
        [f"**{status}**", COARSE[status], *(row.get(exec_type, "-") for exec_type in reports)]
        for status, row in TRANSITIONS.items()
    ]
    return table(["ord_status", "status", *reports], rows)


@part
def resolutions() -> str:
    """Return what a person's word about a request stands for."""
    rows = [
        [f"`{outcome}`", *(row[kind] or "nothing: the order is as it was" for kind in RequestKind)]
        for outcome, row in RESOLVED.items()
    ]
    return table(["word", *(f"`{kind}`" for kind in RequestKind)], rows)


@part
def fix_deviations() -> str:
    """List what FIX prints and we do not show, with the reasons."""
    entries = tomllib.loads(DEVIATIONS.read_text(encoding="utf-8"))["deviation"]
    return "\n\n".join(_deviation(entry) for entry in entries)


def _deviation(entry: dict[str, Any]) -> str:
    name, why = entry["name"], entry["why"]
    rows = [[scenario, step, *told] for scenario, step, *told in entry["rows"]]
    return "\n\n".join(
        [
            f"### {name[0].upper()}{name[1:]}",
            why.strip(),
            table(["scenario", "step", "from", "FIX prints", "we show"], rows),
        ]
    )


@part
def error_codes() -> str:
    """List the errors a caller may get, by code."""
    told = [kind for kind in _error_kinds() if kind is errors.InternalError or "code" in vars(kind)]
    rows = [
        [kind.code, f"`{kind.name}`", _did_it_happen(kind), first_line(kind)]
        for kind in sorted(told, key=lambda kind: (kind.code < 0, abs(kind.code)))
    ]
    return table(["code", "name", "did it happen?", "meaning"], rows)


@part
def fatal_errors() -> str:
    """List the errors that end the daemon."""
    fatal = [errors.ConfigError, errors.JournalError]
    return table(["name", "meaning"], [[f"`{kind.name}`", first_line(kind)] for kind in fatal])


def _error_kinds() -> list[type[BrokerdError]]:
    """Return the errors that errors.py defines and derives nothing from."""
    kinds = [
        kind
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, BrokerdError)
    ]
    return [kind for kind in kinds if not any(kind in other.__bases__ for other in kinds)]


def _did_it_happen(kind: type[BrokerdError]) -> str:
    if issubclass(kind, Refused | VenueRefused | VenueUnavailable):
        return "no"
    return "perhaps" if issubclass(kind, OutcomeUnknown) else "ask"


@part
def event_list() -> str:
    """List what the journal can say; a `?` marks a field that may be absent."""
    kinds: tuple[type[Event], ...] = get_args(AnyEvent)
    rows = [
        [f"`{kind.__struct_config__.tag}`", ", ".join(_own_fields(kind)), first_line(kind)]
        for kind in kinds
    ]
    return table(["event", "fields", "meaning"], rows)


def _own_fields(kind: type[Event]) -> list[str]:
    shared = fields(OrderEvent if issubclass(kind, OrderEvent) else Event)
    names = {field.name for field in shared}
    own = [field for field in fields(kind) if field.name not in names]
    return [f"`{field.name}`{'' if field.required else '?'}" for field in own]


@part
def floors() -> str:
    """List the modules of each floor, from the import rules that CI holds them to."""
    rules = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    layers: list[str] = rules["tool"]["importlinter"]["contracts"][0]["layers"]
    names = [name.strip() for layer in reversed(layers) for name in re.split(r"[|:]", layer)]
    return table(["module", "what lives there"], [[f"`{n}`", _module_line(n)] for n in names])


def _module_line(name: str) -> str:
    module = ast.parse(_module_path(name).read_text(encoding="utf-8"))
    paragraph = (ast.get_docstring(module) or "").split("\n\n")[0]
    return " ".join(paragraph.split()).replace("|", "\\|")


def _module_path(name: str) -> Path:
    package = ROOT / "daemon" / "brokerd"
    path = package / f"{name}.py"
    return path if path.exists() else package / name / "__init__.py"


@part
def venue_faults() -> str:
    """List what may befall a request at `brokerd-venue`, each with the sentence below its name."""
    path = ROOT / "adapters" / "brokerd_adapters" / "venue" / "faults.py"
    lines = ["| fault | |", "|---|---|"]
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ClassDef) and node.name == "WireFault":
            for name, told in itertools.pairwise(node.body):
                if isinstance(name, ast.Assign) and isinstance(told, ast.Expr):
                    word = ast.literal_eval(name.value)
                    lines.append(f"| `{word}` | {ast.literal_eval(told.value)} |")
    return "\n".join(lines)


@part
def config_keys() -> str:
    """List every key, its type, default and meaning."""
    adapters = {
        "paper": PaperConfig,
        "binance": BinanceConfig,
        "alpaca": AlpacaConfig,
        "ccxt": CcxtConfig,
    }
    return config_reference(adapters).strip()


@part
def brokerctl_options() -> str:
    """List what every command of brokerctl takes, in the words of its own help."""
    return options()


@part
def alpaca_outcomes() -> str:
    """List what each of Alpaca's answers proves, the first row that fits first."""
    return _outcomes(ALPACA)


@part
def methods() -> str:
    """List every method with its params and result; a `?` marks a param that may be left out."""
    rows = [
        [f"`{each.name}`", each.summary, _params_of(each), _shape_name(each.result)]
        for each in METHODS
    ]
    return table(["method", "does", "params", "result"], rows)


@part
def binance_outcomes() -> str:
    """List what each of Binance's answers proves, in the order in which the rows are tried."""
    return _outcomes(BINANCE)


def _params_of(method: Method) -> str:
    return ", ".join(
        f"`{each.name}`{'' if each.required else '?'}" for each in fields(method.params)
    )


def _shape_name(kind: Any) -> str:
    return f"[{kind.__name__}](#{kind.__name__.lower()})" if is_struct(kind) else "object"


def is_struct(kind: Any) -> bool:
    """Whether a type is a record of ours."""
    return isinstance(kind, type) and issubclass(kind, Struct)


@part
def shapes() -> str:
    """Describe the records that params and results are made of, each with its fields and types."""
    parts: list[str] = []
    for name, schema in openrpc()["components"]["schemas"].items():
        if "properties" not in schema or name == "NoParams":
            continue
        required = set(schema.get("required", ()))
        rows = [
            [f"`{key}`{'' if key in required else '?'}", _type_of(value)]
            for key, value in schema["properties"].items()
        ]
        about = " ".join(str(schema.get("description", "")).split())
        parts.append(f"### {name}\n\n{about}\n\n{table(['member', 'type'], rows)}")
    return "\n\n".join(parts)


def _type_of(schema: dict[str, Any]) -> str:
    """Say a JSON Schema in a few words."""
    if "$ref" in schema:
        name = schema["$ref"].rsplit("/", 1)[-1]
        values = openrpc()["components"]["schemas"][name].get("enum")
        return (
            " or ".join(f"`{value}`" for value in values)
            if values
            else f"[{name}](#{name.lower()})"
        )
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(_type_of(each) for each in schema["anyOf"]))
    if "enum" in schema:
        return " or ".join(f"`{value}`" for value in schema["enum"])
    if schema.get("type") == "array":
        return f"list of {_type_of(schema.get('items', {}))}"
    if schema.get("format") == "decimal":
        return "decimal"
    kinds = schema.get("type", "any")
    bounds = [f"{word} {schema[key]}" for key, word in _BOUNDS.items() if key in schema]
    named = "decimal" if kinds == ["string", "number"] else str(kinds)
    return f"{named} ({', '.join(bounds)})" if bounds else named


_BOUNDS = {
    "minimum": "at least",
    "maximum": "at most",
    "minLength": "at least characters:",
    "maxLength": "at most characters:",
}


@part
def outcome_tables() -> str:
    """Show the table by which each adapter judges its venue's answers, but for those on their own page."""
    tables = {"paper": PAPER, "ccxt": CCXT}
    return "\n\n".join(f"## {name}\n\n{_outcomes(judged)}" for name, judged in tables.items())


def _outcomes(judged: OutcomeTable) -> str:
    """Show one table, its rows in the order in which they are tried."""
    head = ["request", "status or fault", "code", "message", "verdict", "reason", "by"]
    rows = [[each.replace("|", "\\|") for each in row.cells] for row in judged.rows]
    return table(head, rows)


@part
def weaknesses() -> str:
    """List what a venue may lack, as `executor.list` says it."""
    least = Capabilities(
        repeat_id="nothing",
        validity_window_s=None,
        processing_bound_s=0.0,
        query_lag_s=0.0,
        query_closed=False,
        executions_back_s=0.0,
        amend="cancel_replace",
    )
    lacks = dict.fromkeys(
        (*least.weaknesses, *replace(least, repeat_id="refused_while_open").weaknesses)
    )
    return "\n".join(f"- {sentence}" for sentence in lacks)


def first_line(documented: object) -> str:
    """Return the first paragraph of a docstring as one line, fit for a table's cell."""
    paragraph = (documented.__doc__ or "").strip().split("\n\n")[0]
    return " ".join(paragraph.split()).replace("|", "\\|")


def table(head: list[str], rows: list[list[Any]]) -> str:
    """Write a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(str(cell) for cell in line)} |" for line in lines)


def renewed(text: str) -> str:
    """Return a document with every marked part generated anew; ValueError says what is amiss."""

    def fill(match: re.Match[str]) -> str:
        render = PARTS.get(match["name"])
        if render is None:
            raise ValueError(f"no part is named {match['name']}; known: {', '.join(sorted(PARTS))}")
        return f"{match['open']}\n{render()}\n\n{match['close']}"

    if len(MARKED.findall(text)) != text.count("<!-- generated: "):
        raise ValueError("a generated part has a bad name or no <!-- end -->")
    return MARKED.sub(fill, text)


def renew(path: Path, *, is_check: bool) -> str | None:
    """Write one document anew, or with `is_check` only look; return what somebody must mend."""
    text = path.read_text(encoding="utf-8")
    try:
        fresh = renewed(text)
    except ValueError as error:
        return f"{path.name}: {error}"
    return write(path, fresh, is_check=is_check)


def write(path: Path, fresh: str, *, is_check: bool) -> str | None:
    """Write a file if it has another content, or with `is_check` say that it is stale."""
    if path.is_file() and path.read_text(encoding="utf-8") == fresh:
        return None
    if is_check:
        return f"{path.name} is stale: run `make docs` and commit what it changes"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(fresh, encoding="utf-8")
    print(f"{path.name} is renewed")
    return None


def main(argv: list[str] | None = None, docs: Path = DOCS) -> int:
    """Renew or check every document; return the exit status."""
    parser = argparse.ArgumentParser(
        description="Generate the parts of docs/ that repeat the code."
    )
    parser.add_argument("--check", action="store_true", help="change nothing, exit 1 if stale")
    is_check = parser.parse_args(argv).check
    faults = [renew(path, is_check=is_check) for path in sorted(docs.glob("*.md"))]
    if docs == DOCS:
        faults += [write(path, render(), is_check=is_check) for path, render in FILES.items()]
    for fault in filter(None, faults):
        print(fault, file=sys.stderr)
    return int(any(faults))


if __name__ == "__main__":
    sys.exit(main())
