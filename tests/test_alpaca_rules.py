"""What Alpaca's answers prove, and what it would refuse: each documented case by its body."""

import json
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace
from tests.fixtures.alpaca.bodies import body

from brokerd.events import RequestKind
from brokerd.outcomes import NoAnswer, Verdict
from brokerd.terms import OrdType, Side, Terms, TimeInForce
from brokerd_adapters.alpaca.outcomes import OUTCOMES
from brokerd_adapters.alpaca.rules import (
    CRYPTO,
    instrument,
    needs_qty,
    refused,
    replace_refused,
)
from brokerd_adapters.alpaca.wire import Asset, decode, decode_fault

D = Decimal
REFUSALS: list[dict[str, Any]] = json.loads(body("refusals"))
STOCK = "us_equity"
LIMIT = Terms(
    "alpaca", "AAPL", Side.BUY, OrdType.LIMIT, D(10), D("150.25"), time_in_force=TimeInForce.DAY
)


class TestOutcomes:
    @pytest.mark.parametrize(
        "case", REFUSALS, ids=lambda case: f"{case['on']}-{case['status']}-{case['reason']}"
    )
    def test_a_documented_body_is_judged(self, case: dict[str, Any]) -> None:
        said = case["body"]
        raw = said.encode() if isinstance(said, str) else msgspec.json.encode(said)
        code, message = decode_fault(raw)
        row = OUTCOMES.judge(
            RequestKind(case["on"]), status=case["status"], code=code, message=message
        )
        assert (row.verdict, row.reason) == (case["verdict"], case["reason"])

    @pytest.mark.parametrize("request_kind", RequestKind)
    def test_only_a_connection_never_made_is_not_sent(self, request_kind: RequestKind) -> None:
        verdicts = {fault: OUTCOMES.judge(request_kind, fault=fault).verdict for fault in NoAnswer}
        assert verdicts.pop(NoAnswer.CONNECT) is Verdict.NOT_SENT
        assert set(verdicts.values()) == {Verdict.IN_DOUBT}

    def test_every_row_is_shown_by_a_body_or_a_fault(self) -> None:
        judged = {case["reason"] for case in REFUSALS}
        assert {row.reason for row in OUTCOMES.rows if row.fault is None} <= judged

    def test_nothing_that_happened_is_read_from_a_refusal(self) -> None:
        assert Verdict.HAPPENED not in {row.verdict for row in OUTCOMES.rows}


class TestInstruments:
    def test_assets_become_instruments(self) -> None:
        apple, bitcoin, berkshire, gone = decode(body("assets"), list[Asset])
        assert instrument(gone) is None
        stock, coin, whole = instrument(apple), instrument(bitcoin), instrument(berkshire)
        assert stock is not None
        assert coin is not None
        assert whole is not None
        assert (stock.base, stock.quote, stock.tick, stock.lot) == (
            "AAPL",
            "USD",
            D("0.0001"),
            D("0.000000001"),
        )
        assert (whole.lot, whole.qty_min) == (D(1), D(1))
        assert (coin.base, coin.quote, coin.tick, coin.lot, coin.qty_min) == (
            "BTC",
            "USD",
            D("0.001"),
            D("0.000000001"),
            D("0.000016"),
        )

    def test_steps_that_are_not_told_are_none(self) -> None:
        coin = instrument(Asset(symbol="BTCUSD", asset_class=CRYPTO))
        assert coin is not None
        assert (coin.base, coin.quote, coin.tick, coin.lot) == ("BTCUSD", "USD", D(0), D(0))


class TestForeseen:
    def test_what_is_allowed_is_not_refused(self) -> None:
        assert refused(LIMIT, STOCK) is None
        assert refused(replace(LIMIT, qty=D("0.5")), STOCK) is None
        assert refused(replace(LIMIT, px=D("0.1234")), STOCK) is None
        coin = replace(LIMIT, qty=D("0.5"), px=D("40000.123"), time_in_force=TimeInForce.GTC)
        assert refused(coin, CRYPTO) is None

    @pytest.mark.parametrize(
        ("asset_class", "terms", "reason"),
        [
            (STOCK, {"post_only": True}, "post_only_not_supported"),
            (STOCK, {"time_in_force": TimeInForce.GTD}, "time_in_force_not_supported"),
            (STOCK, {"px": D("150.255")}, "not_on_tick"),
            (
                STOCK,
                {"ord_type": OrdType.STOP, "px": None, "stop_px": D("150.255")},
                "not_on_tick",
            ),
            (
                STOCK,
                {"qty": D("0.5"), "time_in_force": TimeInForce.GTC},
                "fraction_needs_day",
            ),
            (CRYPTO, {"time_in_force": TimeInForce.DAY}, "time_in_force_not_supported"),
            (
                CRYPTO,
                {"ord_type": OrdType.STOP, "time_in_force": TimeInForce.GTC},
                "ord_type_not_supported",
            ),
        ],
    )
    def test_what_alpaca_would_refuse_is_told_before(
        self, asset_class: str, terms: dict[str, Any], reason: str
    ) -> None:
        told = refused(replace(LIMIT, **terms), asset_class)
        assert told is not None
        assert (told.reason, told.is_about_order) == (reason, False)

    def test_the_valid_prices_beside_a_sub_penny_are_named(self) -> None:
        told = refused(replace(LIMIT, px=D("150.255")), STOCK)
        assert told is not None
        assert "150.25 or 150.26" in told.evidence

    @pytest.mark.parametrize(
        ("asset_class", "px", "leaves", "before", "reason"),
        [
            (STOCK, D(150), D(0), D(10), "qty_already_filled"),
            (STOCK, D("150.255"), D(5), D(10), "not_on_tick"),
            (STOCK, D(150), D("0.5"), D("0.7"), "fraction_is_fixed"),
            (STOCK, D(150), D("0.5"), D("0.5"), None),
            (STOCK, None, D(5), D(10), None),
            (CRYPTO, D("40000.123"), D("0.5"), D("0.7"), None),
        ],
    )
    def test_a_replace_is_checked_as_well(
        self,
        asset_class: str,
        px: Decimal | None,
        leaves: Decimal,
        before: Decimal,
        reason: str | None,
    ) -> None:
        told = replace_refused(asset_class, px, leaves, before)
        assert (told.reason if told else None) == reason

    def test_a_fraction_of_a_share_is_not_named_in_a_replace(self) -> None:
        assert needs_qty(STOCK, D(5))
        assert not needs_qty(STOCK, D("0.5"))
        assert needs_qty(CRYPTO, D("0.5"))
