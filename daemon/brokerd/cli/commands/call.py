"""Call any method: `brokerctl call order.get cl_ord_id=my-order-1`."""

from argparse import Namespace
from typing import Any

from brokerd.cli.arguments import Parser
from brokerd.cli.control import Control
from brokerd.cli.errors import Exit, Usage
from brokerd.cli.jsontext import Record, dumps, is_record, loads
from brokerd.cli.terminal import show

QUESTIONS = frozenset({"check", "explain", "get", "info", "list", "ping", "subscribe", "discover"})
"""The last words of methods that change nothing; any other method may have."""

TEXTS = frozenset({"cl_ord_id", "executor_id", "venue_order_id", "executor", "symbol", "reason"})
"""Never anything but text, also where it looks like a number: an order may be called 123."""


def add_options(parser: Parser) -> None:
    """Declare the method and its parameters."""
    parser.add_argument("method", metavar="METHOD", help="rpc.discover lists them")
    parser.add_argument(
        "pairs",
        metavar="KEY=VALUE",
        nargs="*",
        default=[],  # else argparse says that one is required
        help="a param: JSON if it parses as that, else text, as ids are always; KEY:=JSON insists",
    )
    parser.add_argument("--params", metavar="JSON", help="an object; pairs are added to it")


def run(control: Control, options: Namespace) -> Exit:
    """Print the result as it came."""
    params = _params(options)
    method: str = options.method
    if method.rpartition(".")[2] in QUESTIONS:
        result = control.ask_any(method, params)
    else:
        result = control.tell_any(method, _resolve(params), params)
    _print(control, result)
    return Exit.DONE


def _print(control: Control, result: object) -> None:
    """A table shows an object's members; what is nested in them stays JSON."""
    if control.out.is_json or not is_record(result):
        control.out.record(result)
        return
    shown = {name: v if isinstance(v, str) else dumps(v) for name, v in result.items()}
    control.out.card(shown)


def _params(options: Namespace) -> Record:
    params: Record = {}
    if options.params is not None:
        whole = _json("--params", options.params)
        if not is_record(whole):
            raise Usage("--params is not a JSON object")
        params.update(whole)
    for text in options.pairs:
        key, equals, value = text.partition("=")
        if not equals or not key.rstrip(":"):
            raise Usage(f"{text!r} is not KEY=VALUE or KEY:=JSON")
        name = key.rstrip(":")
        params[name] = _json(key, value) if key.endswith(":") else _guess(name, value)
    return params


def _guess(name: str, text: str) -> Any:
    if name in TEXTS:
        return text
    try:
        return loads(text)
    except ValueError:
        return text


def _json(name: str, text: str) -> Any:
    try:
        return loads(text)
    except ValueError as error:
        raise Usage(f"{name.rstrip(':')} is not JSON: {error}") from error


def _resolve(params: Record) -> str:
    """Return the command that shows whether a call happened."""
    cl_ord_id = params.get("cl_ord_id")
    return f"brokerctl order {show(cl_ord_id)}" if cl_ord_id else "brokerctl orders --last 5m"
