"""The daemon as bots and operators meet it: a real process, a real socket, real signals."""

import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from tests.daemon_process import Bot, DaemonProcess, Message, Told, limit, market, request, running

from brokerd.times import parse_rfc3339


@pytest.fixture(scope="module")
def daemon() -> Iterator[DaemonProcess]:
    with running() as daemon:
        yield daemon


@pytest.fixture
def bot(daemon: DaemonProcess) -> Iterator[Bot]:
    with daemon.bot() as bot:
        yield bot


def submitted(bot: Bot, **terms: Any) -> Message:
    """Submit, and wait for the venue's first word."""
    return bot.call("order.submit", wait="venue", **terms)


def until(bot: Bot, event: str, cl_ord_id: str) -> Message:
    """Read events until this one comes."""
    while True:
        params = bot.next_event()["params"]
        if (params["event"], params.get("cl_ord_id")) == (event, cl_ord_id):
            return params


def test_an_order_is_submitted_replaced_canceled_and_explained(bot: Bot) -> None:
    bot.call("events.subscribe", symbol="ETHUSDT")
    order = submitted(bot, **limit(symbol="ETHUSDT", px="1000", group={"test": "life"}))
    cl_ord_id = order["cl_ord_id"]
    assert (order["status"], order["ord_status"], order["in_doubt"]) == ("OPEN", "new", False)
    assert order["executor_id"] == f"paper:{order['venue_order_id']}"
    for found in (
        bot.call("order.get", cl_ord_id=cl_ord_id),
        bot.call("order.get", executor_id=order["executor_id"]),
        bot.call("order.check", cl_ord_id=cl_ord_id),
        bot.call("order.list", group={"test": "life"})["orders"][0],
    ):
        assert found == order

    asked = bot.call("order.replace", cl_ord_id=cl_ord_id, qty="0.02", px="1001.5")
    assert (asked["ord_status"], asked["request"]) == ("pending_replace", "replace")
    assert until(bot, "order_replaced", cl_ord_id)["px"] == "1001.5"
    replaced = bot.call("order.get", cl_ord_id=cl_ord_id)
    assert (replaced["qty"], replaced["px"], replaced["ord_status"]) == ("0.02", "1001.5", "new")

    assert bot.call("order.cancel", cl_ord_id=cl_ord_id)["ord_status"] == "pending_cancel"
    assert until(bot, "order_canceled", cl_ord_id)["ord_status"] == "canceled"
    done = bot.call("order.list", status="CANCELLED", group={"test": "life"})["orders"]
    assert [each["cl_ord_id"] for each in done] == [cl_ord_id]
    assert done[0]["closed_at"] is not None

    explained = bot.call("order.explain", cl_ord_id=cl_ord_id)
    assert [each["event"] for each in explained["transitions"]] == [
        "order_submitted",
        "order_acknowledged",
        "replace_requested",
        "order_replaced",
        "cancel_requested",
        "order_canceled",
    ]
    assert explained["order"] == done[0]


def test_a_refusal_is_explained_by_the_venues_words_and_the_rule_that_judged_them(
    bot: Bot,
) -> None:
    poor = submitted(bot, **limit(qty="9000", px="39999"))
    assert poor["ord_status"] == "rejected"
    rejected = bot.call("order.explain", cl_ord_id=poor["cl_ord_id"])["transitions"][-1]
    assert rejected["reason"] == "the free balance does not cover it"
    said, rule = rejected["evidence"].split(" | rule: ")
    assert said == 'code insufficient_balance, "the free balance does not cover it"'
    assert "refused" in rule
    assert "by the paper venue's rules" in rule


def test_a_market_order_is_filled_and_its_fills_add_up(bot: Bot) -> None:
    order = submitted(bot, **market(cl_ord_id="adds-up"))
    assert (order["status"], order["ord_status"], order["leaves_qty"]) == ("CLOSED", "filled", "0")
    fills = bot.call("fill.list", cl_ord_id="adds-up")["fills"]
    assert sum(Decimal(fill["last_qty"]) for fill in fills) == Decimal("0.01")
    paid = sum(Decimal(fill["last_qty"]) * Decimal(fill["last_px"]) for fill in fills)
    assert abs(paid / Decimal("0.01") - Decimal(order["avg_px"])) < Decimal("1e-20")
    assert sum(Decimal(fill["fee"]) for fill in fills) == Decimal(order["fees"]["USDT"])
    assert len({fill["exec_id"] for fill in fills}) == len(fills)


def test_a_submit_without_wait_is_answered_before_the_venue_has_it(bot: Bot) -> None:
    order = bot.call("order.submit", **limit())
    assert (order["status"], order["request"], order["venue_order_id"]) == ("PENDING", "new", None)


def test_a_submit_that_waits_for_a_silent_venue_answers_with_the_order_as_it_is() -> None:
    faults = {"script": ["unavailable"] * 50}
    with running(executor={"faults": faults}) as daemon, daemon.bot() as bot:
        order = bot.call("order.submit", **limit(), wait="venue", timeout_s=0.01)
        assert (order["status"], order["request"]) == ("PENDING", "new")


def test_the_same_submit_is_the_same_order_and_another_under_its_id_is_refused(bot: Bot) -> None:
    terms = limit(cl_ord_id="again-1", qty="0.010", group={"a": "b"})
    first = submitted(bot, **terms)
    assert bot.call("order.submit", **{**terms, "qty": 0.01}) == first
    for other in ({"qty": "0.02"}, {"side": "sell"}, {"group": {}}, {"decision_px": "20000"}):
        with pytest.raises(Told) as told:
            bot.call("order.submit", **{**terms, **other})
        assert (told.value.code, told.value.data["field"]) == (100, "cl_ord_id")


def test_a_repeated_submit_finds_its_order_long_after_that_was_closed_and_forgotten() -> None:
    settings: Message = {"daemon": {"orders_in_memory_max": 0}}
    terms = market(cl_ord_id="once")
    with running(**settings) as daemon:
        with daemon.bot() as bot:
            filled = submitted(bot, **terms)
        assert daemon.stop() == 0
        daemon.start()
        with daemon.bot() as bot:
            # The first snapshot brings it back for a moment, the next commit lets go of it.
            submitted(bot, **limit())
            assert bot.call("daemon.info")["orders"]["in_memory"] == 1
            assert bot.call("order.submit", **terms) == filled
            with pytest.raises(Told) as told:
                bot.call("order.submit", **{**terms, "qty": "0.02"})
            assert told.value.code == 100
            assert bot.call("order.check", cl_ord_id="once")["cum_qty"] == filled["cum_qty"]
            assert len(bot.call("fill.list", cl_ord_id="once")["fills"]) >= 1
            with pytest.raises(Told) as told:
                bot.call("order.cancel", cl_ord_id="once")
            assert (told.value.code, told.value.data["reason"]) == (102, "already_filled")


def test_cancel_all_takes_what_the_filter_means_and_nothing_else(bot: Bot) -> None:
    meant = [submitted(bot, **limit(group={"who": "meant"}))["cl_ord_id"] for _ in range(3)]
    spared = submitted(bot, **limit(group={"who": "spared"}))["cl_ord_id"]
    bot.call("events.subscribe", group={"who": "meant"})
    told = bot.call("order.cancel_all", group={"who": "meant"})
    assert (told["requested"], sorted(told["cl_ord_ids"])) == (3, sorted(meant))
    ended = [bot.next_event()["params"] for _ in range(6)]
    assert {each["cl_ord_id"] for each in ended if each["event"] == "order_canceled"} == set(meant)
    assert bot.call("order.get", cl_ord_id=spared)["ord_status"] == "new"
    assert bot.call("order.cancel_all", group={"who": "meant"})["requested"] == 0


def at_once(bot: Bot, *messages: object) -> dict[Any, Message]:
    """Send several lines in one write; return the answers by id."""
    bot.send_raw(b"".join(json.dumps(each).encode() + b"\n" for each in messages))
    answers: dict[Any, Message] = {}
    for _ in messages:
        told = bot.receive()
        for each in told if isinstance(told, list) else [told]:
            answers[each["id"]] = each
    return answers


def test_cancel_all_takes_the_orders_that_were_sent_in_the_same_breath(bot: Bot) -> None:
    group = {"who": "breath"}
    submits = [request(no, "order.submit", **limit(group=group)) for no in range(10)]
    answers = at_once(bot, *submits, request("all", "order.cancel_all", group=group))
    assert answers["all"]["result"]["requested"] == 10
    meant = {answers[no]["result"]["cl_ord_id"] for no in range(10)}
    assert set(answers["all"]["result"]["cl_ord_ids"]) == meant


@pytest.mark.parametrize("is_batch", [False, True])
def test_a_cancel_does_not_overtake_the_replace_that_was_sent_before_it(
    bot: Bot, is_batch: bool
) -> None:
    cl_ord_id = submitted(bot, **limit())["cl_ord_id"]
    change = request("replace", "order.replace", cl_ord_id=cl_ord_id, qty="0.02")
    cancel = request("cancel", "order.cancel", cl_ord_id=cl_ord_id)
    answers = at_once(bot, [change] if is_batch else change, cancel)
    assert answers["replace"]["result"]["request"] == "replace"
    assert answers["cancel"]["result"]["ord_status"] == "pending_cancel"


def test_groups_filter_and_the_latest_of_each_group_is_found(bot: Bot) -> None:
    for user, strategy in (("ann", "mm"), ("ann", "arb"), ("bob", "mm"), ("ann", "mm")):
        group = {"user": user, "strategy": strategy, "test": "groups"}
        submitted(bot, **limit(cl_ord_id=f"g-{user}-{strategy}-{bot._last_id}", group=group))

    def listed(**params: Any) -> list[str]:
        params["group"] = {"test": "groups", **params.get("group", {})}
        orders = bot.call("order.list", **params)["orders"]
        return ["-".join(each["cl_ord_id"].split("-")[1:3]) for each in orders]

    assert listed() == ["ann-mm", "bob-mm", "ann-arb", "ann-mm"]
    assert listed(group={"user": "ann"}) == ["ann-mm", "ann-arb", "ann-mm"]
    assert listed(latest_group=True) == ["ann-mm", "bob-mm", "ann-arb"]
    assert listed(latest_group=True, group_by="user") == ["ann-mm", "bob-mm"]
    assert listed(latest_group=True, group_by=["strategy"]) == ["ann-mm", "ann-arb"]
    assert listed(group={"user": "carol"}) == []
    page = bot.call("order.list", group={"test": "groups"}, limit=3)
    rest = bot.call("order.list", group={"test": "groups"}, limit=3, cursor=page["next_cursor"])
    assert (len(page["orders"]), len(rest["orders"]), rest["next_cursor"]) == (3, 1, None)


def test_a_notification_is_carried_out_and_not_answered(bot: Bot) -> None:
    notification = request(None, "order.submit", **limit(cl_ord_id="quiet"))
    del notification["id"]
    bot.send(notification)
    bot.send({**notification, "method": "no.such"})
    # Commands are decided in the order they came: this one finds the order.
    assert bot.call("order.cancel", cl_ord_id="quiet")["ord_status"] == "pending_cancel"


def test_a_batch_is_answered_whole_in_one_line_without_its_notifications(bot: Bot) -> None:
    silent = request(0, "daemon.ping")
    del silent["id"]
    bot.send(
        [
            request("a", "daemon.ping"),
            silent,
            request(2, "no.such"),
            request(None, "daemon.ping"),
            7,
            request("b", "order.submit", **limit(cl_ord_id="in-batch")),
        ]
    )
    answers = {str(each["id"]) + str("error" in each): each for each in bot.receive()}
    assert sorted(answers) == ["2True", "NoneFalse", "NoneTrue", "aFalse", "bFalse"]
    assert answers["2True"]["error"]["code"] == -32601
    assert answers["NoneTrue"]["error"]["code"] == -32600
    assert answers["bFalse"]["result"]["cl_ord_id"] == "in-batch"
    bot.send([silent])
    bot.call("daemon.ping")


def test_decimals_are_read_exactly_however_they_are_written(bot: Bot) -> None:
    line = (
        b'{"jsonrpc":"2.0","id":%d,"method":"order.submit","params":{"symbol":"BTCUSDT",'
        b'"side":"buy","ord_type":"limit","qty":%b,"px":%b,"decision_px":%b}}\n'
    )
    bot.send_raw(line % (1, b"1e-2", b"2.0E+4", b"123456789012345678.123456789012345678"))
    order = bot.receive()["result"]
    assert (order["qty"], order["px"]) == ("0.01", "20000")
    assert order["decision_px"] == "123456789012345678.123456789012345678"
    bot.send_raw(line % (2, b"0.01", b"20000", b"1e-8"))
    assert Decimal(bot.receive()["result"]["decision_px"]) == Decimal("0.00000001")
    bot.send_raw(line % (3, b'"0.1"', b"20000.30", b'"0.1000000000000000055511151231257827"'))
    assert bot.receive()["error"]["data"]["field"] == "decision_px"


def test_times_are_rfc_3339_in_utc_with_nanoseconds_and_in_order(bot: Bot) -> None:
    order = submitted(bot, **market())
    names = ("created_at", "sent_at", "acked_at", "first_fill_at", "closed_at")
    texts = [order["arrival"]["at"], *(order[name] for name in names)]
    assert {len(text) for text in texts} == {30}
    assert {text[-1] for text in texts} == {"Z"}
    stamps = [parse_rfc3339(text) for text in texts]
    assert stamps == sorted(stamps)


def test_the_daemon_describes_itself(daemon: DaemonProcess, bot: Bot) -> None:
    told = bot.call("daemon.info")
    assert told["pid"] == daemon.pid
    assert told["executors"] == {"paper": "up"}
    (paper,) = bot.call("executor.list")["executors"]
    assert (paper["name"], paper["state"]) == ("paper", "up")
    assert (paper["clock_offset_s"], paper["paused_until"], paper["weaknesses"]) == (0, None, [])
    methods = [method["name"] for method in bot.call("rpc.discover")["methods"]]
    assert {"order.submit", "events.subscribe", "daemon.stop"} < set(methods)


def test_the_errors_of_a_call_say_which_field_and_why(bot: Bot) -> None:
    done = submitted(bot, **market())["cl_ord_id"]
    calls: list[tuple[int, str | None, str, Message]] = [
        (-32601, None, "order.sumbit", {}),
        (-32602, "sid", "order.submit", {**limit(), "sid": "buy"}),
        (-32602, "side", "order.submit", limit(side="bid")),
        (-32602, "qty", "order.submit", limit(qty="NaN")),
        (-32602, "symbol", "order.submit", {"side": "buy", "ord_type": "limit", "qty": 1}),
        (-32602, "executor", "order.submit", limit(executor="papre")),
        (-32602, "status", "order.list", {"status": "CANECELLED"}),
        (-32602, "time.last", "order.list", {"time": {"time_type": "relative", "last": "1y"}}),
        (101, "cl_ord_id", "order.get", {"cl_ord_id": "nobody"}),
        (101, "executor_id", "order.get", {"executor_id": "paper:0"}),
        (101, "cl_ord_id", "order.cancel", {"cl_ord_id": "nobody"}),
        (102, None, "order.cancel", {"cl_ord_id": done}),
        (102, None, "order.replace", {"cl_ord_id": done, "qty": "1"}),
        (105, "px", "order.submit", limit(px="20000.001")),
        (105, "qty", "order.submit", limit(qty="0.000011")),
        (105, "qty", "order.submit", limit(qty="-1")),
        (105, "symbol", "order.submit", limit(symbol="BTCUSD")),
        (105, "expire_at", "order.submit", limit(time_in_force="gtd")),
    ]
    for code, field, method, params in calls:
        with pytest.raises(Told) as told:
            bot.call(method, **params)
        assert (told.value.code, told.value.data.get("field")) == (code, field), str(told.value)
        assert told.value.data["reason"]
