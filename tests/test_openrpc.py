"""rpc.discover: an OpenRPC document that holds against the specification and against what is answered."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from tests.daemon_process import Bot, Message, limit, market, running

from brokerd.contract import METHODS
from brokerd.money import parse_decimal

SPECIFICATION = json.loads((Path(__file__).parent / "fixtures" / "openrpc.json").read_text())

PARAMS: dict[str, list[Message]] = {
    "order.submit": [
        limit(cl_ord_id="o-1", group={"desk": "a"}, post_only=True, decision_px="20001"),
        market(cl_ord_id="o-2", wait="venue", timeout_s=5),
        limit(cl_ord_id="o-3", time_in_force="gtd", expire_at="2200-01-01T00:00:00Z", wait="venue"),
        {
            "symbol": "BTCUSDT",
            "side": "sell",
            "ord_type": "stop_limit",
            "qty": 0.01,
            "px": 30000,
            "stop_px": 30001,
        },
    ],
    "order.replace": [{"cl_ord_id": "o-1", "px": "20002"}],
    "order.get": [{"cl_ord_id": "o-1"}],
    "order.check": [{"cl_ord_id": "o-2"}],
    "order.explain": [{"cl_ord_id": "o-1"}],
    "order.list": [{}, {"status": ["OPEN"], "group_by": "desk", "latest_group": True}],
    "fill.list": [{}, {"time": {"time_type": "relative", "last": "1h"}}],
    "events.subscribe": [{"last": 1, "status": "CLOSED"}],
    "order.cancel": [{"cl_ord_id": "o-1"}],
    "order.cancel_all": [{"side": "buy"}],
}
"""What each method is called with, in this order; the rest are called without params, and stop last."""

AMID_TROUBLE = {"order.resolve", "executor.thaw"}
"""What is answered only when something has gone wrong: their own tests hold their answers."""


@pytest.fixture(scope="module")
def session() -> Iterator[tuple[Message, list[tuple[str, Message, Any]]]]:
    """The document, and every method's real answers: (method, params, result)."""
    rest = {each.name for each in METHODS} - {*PARAMS, *AMID_TROUBLE, "daemon.stop"}
    names = [*PARAMS, *sorted(rest)]
    with running() as daemon, daemon.bot() as bot:
        document = _plain(bot.call("rpc.discover"))
        answers = [
            (name, params, _plain(bot.call(name, **params)))
            for name in [*names, "daemon.stop"]
            for params in PARAMS.get(name, [{}])
        ]
        yield document, answers


def _plain(value: Any) -> Any:
    """Read numbers as any other program would."""
    return json.loads(json.dumps(value, default=float))


@pytest.fixture(scope="module")
def document(session: tuple[Message, Any]) -> Message:
    return session[0]


def references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        value = list(value.values())
    if isinstance(value, list):
        for each in value:
            yield from references(each)


def check(document: Message, schema: Message, value: Any) -> None:
    Draft202012Validator({**schema, "components": document["components"]}).validate(value)


def test_the_document_is_an_openrpc_document(document: Message) -> None:
    Draft202012Validator(SPECIFICATION).validate(document)


def test_the_specification_in_the_fixtures_refuses_what_is_none(document: Message) -> None:
    first, *rest = document["methods"]
    for broken in (
        {**document, "openrpc": "2.0"},
        {**document, "paths": {}},
        {**document, "methods": [{**first, "params": {}}, *rest]},
        {**document, "methods": [{**first, "result": {"name": "x"}}, *rest]},
        {**document, "components": {"errors": {"x": {"code": "1", "message": "m"}}}},
    ):
        assert not Draft202012Validator(SPECIFICATION).is_valid(broken)


def test_every_reference_leads_somewhere(document: Message) -> None:
    seen = set(references(document))
    assert seen
    for reference in seen:
        place: Any = document
        for step in reference.removeprefix("#/").split("/"):
            place = place[step]


def test_methods_and_their_params_are_named_once_and_what_is_required_comes_first(
    document: Message,
) -> None:
    names = [method["name"] for method in document["methods"]]
    assert len(set(names)) == len(names)
    for method in document["methods"]:
        params = [param["name"] for param in method["params"]]
        assert len(set(params)) == len(params)
        required = [param["required"] for param in method["params"]]
        assert required == sorted(required, reverse=True), method["name"]


def test_every_method_answers_as_the_document_says(
    document: Message, session: tuple[Message, list[tuple[str, Message, Any]]]
) -> None:
    methods = {method["name"]: method for method in document["methods"]}
    assert {name for name, _, _ in session[1]} == set(methods) - AMID_TROUBLE
    for name, params, result in session[1]:
        shapes = {param["name"]: param["schema"] for param in methods[name]["params"]}
        for param, value in params.items():
            check(document, shapes[param], value)
        check(document, methods[name]["result"]["schema"], result)


def test_no_answer_has_a_member_that_the_document_does_not_know(
    document: Message, session: tuple[Message, list[tuple[str, Message, Any]]]
) -> None:
    methods = {method["name"]: method for method in document["methods"]}
    for name, _, result in session[1]:
        reference = methods[name]["result"]["schema"].get("$ref")
        if reference is not None:
            shape = document["components"]["schemas"][reference.rsplit("/", 1)[-1]]
            assert set(result) == set(shape["properties"]), name


def test_what_is_called_a_decimal_is_one(
    document: Message, session: tuple[Message, list[tuple[str, Message, Any]]]
) -> None:
    shape = document["components"]["schemas"]["ShownOrder"]["properties"]
    names = [name for name, schema in shape.items() if '"decimal"' in json.dumps(schema)]
    assert {"qty", "px", "cum_qty", "avg_px"} <= set(names)
    orders = [result for name, _, result in session[1] if name in {"order.submit", "order.get"}]
    for order in orders:
        for name in set(names) - {"fees"}:
            assert order[name] is None or parse_decimal(order[name]) is not None


def test_the_errors_are_the_taxonomy(document: Message, bot_error: Message) -> None:
    codes = {error["code"] for error in document["components"]["errors"].values()}
    assert {100, 101, 102, 105, 202, 303, -32601} <= codes
    assert bot_error["code"] in codes


@pytest.fixture
def bot_error() -> Message:
    with running() as daemon, Bot(daemon.socket_path) as bot:
        bot.send({"jsonrpc": "2.0", "id": 1, "method": "order.get", "params": {"cl_ord_id": "no"}})
        error: Message = bot.receive()["error"]
    return error
