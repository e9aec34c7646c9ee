"""Laws of the Binance dialect: what it says on one road is what it says on every other."""

import random
from decimal import Decimal
from typing import Any

import pytest
from tests.fixtures.venue.signed import LIMIT, Client, Ws, client_of

STEPS = 120
MODES = ("NONE", "EXPIRE_TAKER", "EXPIRE_MAKER", "EXPIRE_BOTH")
KINDS = ("LIMIT", "LIMIT", "LIMIT", "LIMIT_MAKER", "MARKET", "STOP_LOSS_LIMIT", "TAKE_PROFIT_LIMIT")


class Trader:
    """Whatever a trader may do, at random: refusals are part of it."""

    def __init__(self, client: Client, ws: Ws, seed: int) -> None:
        self.client = client
        self.ws = ws
        self.chance = random.Random(seed)

    async def step(self) -> None:
        act = self.chance.choices(
            (self.place, self.cancel, self.replace, self.amend, self.move), (5, 2, 1, 1, 3)
        )[0]
        await act()

    async def place(self) -> None:
        await self.ws.send("order.place", self.terms())

    async def cancel(self) -> None:
        await self.ws.send("order.cancel", {"symbol": "BTCUSDT", "orderId": self.number()})

    async def replace(self) -> None:
        params = {"cancelReplaceMode": "ALLOW_FAILURE", "cancelOrderId": self.number()}
        await self.ws.send("order.cancelReplace", {**self.terms(), **params})

    async def amend(self) -> None:
        params = {"symbol": "BTCUSDT", "orderId": self.number(), "newQty": self.qty()}
        await self.ws.send("order.amend.keepPriority", params)

    async def move(self) -> None:
        px = self.px()
        if self.chance.random() < 0.5:
            self.client.quote(str(px - 1), str(px + 1), self.qty())
        else:
            self.client.print_trade(str(px), self.qty())

    def terms(self) -> dict[str, Any]:
        kind = self.chance.choice(KINDS)
        terms: dict[str, Any] = {
            **LIMIT,
            "type": kind,
            "side": self.chance.choice(("BUY", "SELL")),
            "quantity": self.qty(),
            "price": str(self.px()),
            "timeInForce": self.chance.choice(("GTC", "GTC", "IOC", "FOK")),
            "selfTradePreventionMode": self.chance.choice(MODES),
        }
        if kind in {"LIMIT_MAKER", "MARKET"}:
            del terms["timeInForce"]
        if kind == "MARKET":
            del terms["price"]
        if kind.endswith("_LIMIT"):
            terms["stopPrice"] = str(self.px())
        return terms

    def px(self) -> int:
        return self.chance.randint(39_990, 40_010)

    def qty(self) -> str:
        return f"0.{self.chance.randint(1, 99):02d}"

    def number(self) -> str:
        ever = self.client.venue.exchange.ever
        return self.chance.choice(ever).order_id if ever else "1"


@pytest.mark.parametrize("seed", range(6))
async def test_stream_queries_trades_balances_and_oracle_agree(seed: int) -> None:
    async with client_of() as client, client.ws() as ws:
        await ws.send("userDataStream.subscribe.signature")
        trader = Trader(client, ws, seed)
        for _ in range(STEPS):
            await trader.step()
        await ws.send("ping", sign=None)
        told: dict[int, dict[str, Any]] = {}
        held: dict[str, tuple[str, str]] = {}
        traded: dict[int, str] = {}
        for event in ws.events:
            if event["e"] == "outboundAccountPosition":
                held |= {row["a"]: (row["f"], row["l"]) for row in event["B"]}
                continue
            told[event["i"]] = event
            if event["x"] == "TRADE":
                assert event["t"] not in traded
                traded[event["t"]] = event["l"]
        await agree(client, told, held, traded)


async def agree(
    client: Client,
    told: dict[int, dict[str, Any]],
    held: dict[str, tuple[str, str]],
    traded: dict[int, str],
) -> None:
    shown = (await client.rest("GET", "allOrders", {"symbol": "BTCUSDT", "orderId": 1})).body
    oracle = {int(order.order_id): order for order in client.venue.exchange.ever}
    assert len(shown) == len(oracle) == len(told)
    for row in shown:
        last, order = told[row["orderId"]], oracle[row["orderId"]]
        terms = ("clientOrderId", "status", "executedQty", "cummulativeQuoteQty", "origQty")
        assert [row[name] for name in terms] == [last[name] for name in "cXzZq"]
        filled = sum((each.last_qty for each in order.executions), Decimal(0))
        assert Decimal(row["executedQty"]) == filled
    trades = (await client.rest("GET", "myTrades", {"symbol": "BTCUSDT", "fromId": 1})).body
    assert {row["id"]: row["qty"] for row in trades} == traded
    opened = (await client.rest("GET", "openOrders")).body
    is_open = {row["orderId"] for row in shown if row["status"] in {"NEW", "PARTIALLY_FILLED"}}
    assert {row["orderId"] for row in opened} == is_open
    account = (await client.rest("GET", "account")).body["balances"]
    balances = {row["asset"]: (row["free"], row["locked"]) for row in account}
    assert {asset: balances[asset] for asset in held} == held
    assert all(Decimal(locked) >= 0 for _, locked in balances.values())
    bought = {
        int(each.exec_id): each.last_qty * order.terms.side.sign
        - (each.fee if each.fee_asset == "BTC" else 0)
        for order in oracle.values()
        for each in order.executions
    }
    free, locked = balances["BTC"]
    assert Decimal(free) + Decimal(locked) == 1_000 + sum(bought.values())
