"""Alpaca's bodies, as documented and as bad as they come: what is read, and what is not."""

from decimal import Decimal

import msgspec
import pytest
from tests.fixtures.alpaca.bodies import activities, body, changed, order

from brokerd.executor import PlaceOrder
from brokerd.secrets import Secret
from brokerd.terms import OrdType, Side, Terms, TimeInForce
from brokerd_adapters.alpaca import requests
from brokerd_adapters.alpaca.wire import (
    Account,
    Activity,
    Asset,
    DataMessage,
    Frame,
    OrderBody,
    Position,
    StreamState,
    TradeUpdate,
    Unreadable,
    decode,
    decode_fault,
    decode_rows,
    quote_of,
    time_ns,
)
from brokerd_adapters.kit import Credential

D = Decimal
LIMIT = Terms(
    "alpaca", "AAPL", Side.BUY, OrdType.LIMIT, D("10"), D("150.25"), time_in_force=TimeInForce.DAY
)


class TestReading:
    def test_a_documented_order_is_read_exactly(self) -> None:
        read = decode(body("order"), OrderBody)
        assert (read.id, read.client_order_id) == (
            "61e69015-8549-4bfd-b9c3-01e75843f47d",
            "bkd-0123456789-1",
        )
        assert (read.qty, read.filled, read.limit_price) == (D(10), D(0), D("150.25"))

    def test_a_frame_is_read_with_its_nanoseconds_and_its_offset(self) -> None:
        frame = decode(body("trade_update_fill"), Frame)
        told = decode(frame.data, TradeUpdate)
        assert frame.stream == "trade_updates"
        assert (told.qty, told.price, told.order.filled) == (
            D("790.86"),
            D("105.8988475"),
            D("1790.86"),
        )
        assert time_ns(told.timestamp) == 1776620705_024916716
        assert time_ns(told.order.updated_at) == 1776620705_027690731

    def test_a_number_is_the_same_as_string_or_as_number(self) -> None:
        text = msgspec.json.encode(changed("order", qty="0.123456789", limit_price="150.25"))
        number = text.replace(b'"0.123456789"', b"0.123456789").replace(b'"150.25"', b"150.25")
        assert number != text
        assert decode(number, OrderBody) == decode(text, OrderBody)
        assert decode(number, OrderBody).qty == D("0.123456789")

    def test_fields_and_words_nobody_knows_pass(self) -> None:
        told = order(status="in_orbit", brand_new={"x": [1]}, side="sell_short")
        assert (told.status, told.side) == ("in_orbit", "sell_short")

    @pytest.mark.parametrize("qty", ["NaN", "Infinity", "1e999", "", "ten", True, [], {}])
    def test_a_number_that_is_none_is_refused(self, qty: object) -> None:
        with pytest.raises(Unreadable):
            order(qty=qty)

    @pytest.mark.parametrize(
        "broken",
        [
            b"",
            b"{",
            b"null",
            b"[]",
            b"<html>502</html>",
            b"\xff\xfe",
            b'{"id":"a"}',
            b'{"id":1,"client_order_id":"x","status":"new"}',
            b"[" * 100_000,
        ],
    )
    def test_half_a_body_is_no_body(self, broken: bytes) -> None:
        with pytest.raises(Unreadable):
            decode(broken, OrderBody)

    def test_an_unreadable_body_is_not_quoted(self) -> None:
        with pytest.raises(Unreadable) as caught:
            decode(b'{"id":"a","client_order_id":"x","status":"new","qty":"s3cret"}', OrderBody)
        assert "s3cret" not in str(caught.value)

    def test_orders_of_shapes_that_ours_never_have_are_left_out_and_counted(self) -> None:
        rows = b"[" + body("order") + b"," + body("order_mleg") + b"," + b"7]"
        read, unread = decode_rows(rows, OrderBody)
        assert ([each.symbol for each in read], unread) == (["AAPL"], 2)
        with pytest.raises(Unreadable):
            decode_rows(b"{}", OrderBody)

    def test_everything_else_documented_is_read(self) -> None:
        assert [each.cum_qty for each in activities()] == [D(4), D(10)]
        account = decode(body("account"), Account)
        assert (account.cash, account.non_marginable_buying_power) == (D("80150.25"), D("79950.25"))
        positions = decode(body("positions"), list[Position])
        assert [each.qty for each in positions] == [D(5), D("0.25"), D(-1)]
        assets = decode(body("assets"), list[Asset])
        assert [each.asset_class for each in assets][:2] == ["us_equity", "crypto"]
        assert assets[1].price_increment == D("0.001")
        state = decode(b'{"status":"authorized","action":"authenticate"}', StreamState)
        assert state.status == "authorized"

    def test_a_fill_without_its_order_or_price_is_none(self) -> None:
        for missing in ("order_id", "price", "cum_qty"):
            row = msgspec.json.decode(body("activities"))[0]
            del row[missing]
            with pytest.raises(Unreadable):
                decode(msgspec.json.encode(row), Activity)

    @pytest.mark.parametrize("text", [None, "", "yesterday", "2026-13-01T00:00:00Z"])
    def test_a_time_that_is_none_is_not_known(self, text: str | None) -> None:
        assert time_ns(text) is None

    @pytest.mark.parametrize(
        ("said", "code", "message"),
        [
            (b'{"code":40010001,"message":"no"}', "40010001", "no"),
            (b'{"code":"40010001"}', "40010001", ""),
            (b'{"message":"unauthorized"}', None, "unauthorized"),
            (b"<html>", None, ""),
            (b'{"message":17}', None, ""),
        ],
    )
    def test_a_refusal_is_read_as_far_as_it_goes(
        self, said: bytes, code: str | None, message: str
    ) -> None:
        assert decode_fault(said) == (code, message)


class TestQuotes:
    def test_a_quote_has_two_sides_and_a_time(self) -> None:
        frame = (
            b'[{"T":"q","S":"AAPL","bx":"U","bp":87.68,"bs":4,"ax":"U","ap":87.71,"as":1,'
            b'"c":["R"],"z":"A","t":"2026-02-22T15:51:45.335689322Z"}]'
        )
        (told,) = decode(frame, list[DataMessage])
        quote = quote_of(told.bp, told.ap, told.t)
        assert quote is not None
        assert (quote.bid_px, quote.ask_px) == (D("87.68"), D("87.71"))
        assert quote.at_ns % 1_000_000_000 == 335_689_322

    @pytest.mark.parametrize(
        ("bid", "ask", "at"),
        [
            (D(0), D(1), "2026-02-22T15:51:45Z"),
            (D(1), None, "2026-02-22T15:51:45Z"),
            (D(1), D(2), None),
        ],
    )
    def test_half_a_quote_is_none(self, bid: Decimal, ask: Decimal | None, at: str | None) -> None:
        assert quote_of(bid, ask, at) is None


class TestAsking:
    def test_a_limit_order_goes_out_in_strings_and_plain_digits(self) -> None:
        terms = msgspec.structs.replace(LIMIT, qty=D("1E-9"))
        sent = requests.place_body(
            PlaceOrder(venue_cl_ord_id="bkd-0-1", terms=terms), extended_hours=False
        )
        assert msgspec.json.decode(sent) == {
            "symbol": "AAPL",
            "qty": "0.000000001",
            "side": "buy",
            "type": "limit",
            "time_in_force": "day",
            "client_order_id": "bkd-0-1",
            "limit_price": "150.25",
        }

    def test_extended_hours_are_asked_for_only_when_wanted(self) -> None:
        order = PlaceOrder(venue_cl_ord_id="x", terms=LIMIT)
        sent = msgspec.json.decode(requests.place_body(order, extended_hours=True))
        assert sent["extended_hours"] is True

    @pytest.mark.parametrize(
        ("ord_type", "prices"),
        [
            (OrdType.MARKET, set()),
            (OrdType.STOP, {"stop_price"}),
            (OrdType.STOP_LIMIT, {"stop_price", "limit_price"}),
        ],
    )
    def test_each_type_names_its_prices(self, ord_type: OrdType, prices: set[str]) -> None:
        terms = msgspec.structs.replace(
            LIMIT,
            ord_type=ord_type,
            px=D(1) if ord_type.has_px else None,
            stop_px=D(2) if ord_type.has_stop_px else None,
        )
        sent = msgspec.json.decode(
            requests.place_body(PlaceOrder(venue_cl_ord_id="x", terms=terms), extended_hours=False)
        )
        assert {key for key in sent if key.endswith("price")} == prices

    def test_a_replace_names_what_is_left_and_an_id_of_its_own(self) -> None:
        sent = requests.replace_body(LIMIT, D(151), qty=D(6), client_order_id="bkd-0-1-r1")
        assert msgspec.json.decode(sent) == {
            "limit_price": "151",
            "qty": "6",
            "client_order_id": "bkd-0-1-r1",
        }
        unnamed = requests.replace_body(LIMIT, None, qty=None, client_order_id="x")
        assert msgspec.json.decode(unnamed) == {"client_order_id": "x"}

    def test_paths_and_queries_are_quoted(self) -> None:
        assert requests.order_path("a/../b") == "/v2/orders/a%2F..%2Fb"
        assert requests.asset_path("BTC/USD") == "/v2/assets/BTC%2FUSD"
        assert requests.by_client_id("a&b") == "client_order_id=a%26b"
        assert requests.assets("crypto") == "status=active&asset_class=crypto"

    def test_pages_begin_after_a_time_or_a_row(self) -> None:
        assert requests.open_orders(None) == "status=open&limit=500&direction=asc"
        assert requests.open_orders(1).endswith("&after=1970-01-01T00%3A00%3A00.000000001Z")
        assert requests.fills() == "direction=asc&page_size=100"
        paged = requests.fills(after_ns=0, order_id="o", page_token="t::u")
        assert paged.endswith(
            "&after=1970-01-01T00%3A00%3A00.000000000Z&order_id=o&page_token=t%3A%3Au"
        )

    KEY = Credential(api_key=Secret("k"), secret=Secret("s"))

    def test_quotes_are_asked_for_as_documented(self) -> None:
        assert requests.latest_quotes(["AAPL", "SPY"], "iex") == "symbols=AAPL%2CSPY&feed=iex"
        assert requests.latest_quotes(["BTC/USD"]) == "symbols=BTC%2FUSD"
        sent = msgspec.json.decode(requests.data_authenticate(self.KEY))
        assert sent == {"action": "auth", "key": "k", "secret": "s"}
        asked = msgspec.json.decode(requests.data_subscribe(["AAPL"]))
        assert asked == {"action": "subscribe", "quotes": ["AAPL"]}

    def test_the_stream_is_asked_for_as_documented(self) -> None:
        sent = msgspec.json.decode(requests.authenticate(self.KEY))
        assert sent == {"action": "authenticate", "data": {"key_id": "k", "secret_key": "s"}}
        assert msgspec.json.decode(requests.LISTEN)["data"] == {"streams": ["trade_updates"]}
