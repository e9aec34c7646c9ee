"""JSON-RPC 2.0 over lines: what the specification says, and limits on everything."""

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from brokerd import rpc
from brokerd.errors import InvalidOrder, InvalidParams, InvalidRequest, ParseError
from brokerd.params import ListParams, SubmitParams
from brokerd.rpc import (
    BATCH_MAX,
    ID_BYTES_MAX,
    LINE_BYTES_MAX,
    NULL,
    Call,
    Failure,
    LineBuffer,
    read_params,
    receive,
)

decoder = msgspec.json.Decoder(SubmitParams)
SUBMIT = {"symbol": "BTCUSDT", "side": "buy", "ord_type": "limit", "qty": "0.01", "px": 39400}


def one(line: bytes | str) -> Call | Failure:
    received = receive(line.encode() if isinstance(line, str) else line)
    assert not received.is_batch
    (message,) = received.messages
    return message


def call(**members: object) -> Call | Failure:
    return one(json.dumps({"jsonrpc": "2.0", "method": "m", **members}))


def test_a_call_has_a_method_params_and_the_id_as_it_was_written() -> None:
    message = one('{"jsonrpc":"2.0","method":"order.get","params":{"a":[1]},"id":1.50}')
    assert message == Call("order.get", msgspec.Raw(b'{"a":[1]}'), b"1.50")


@pytest.mark.parametrize("call_id", ["1", '"a"', "-3", "0", "null", "1e3", '"\\u00e9"'])
def test_an_id_is_echoed_byte_for_byte(call_id: str) -> None:
    message = one(f'{{"jsonrpc":"2.0","method":"m","id":{call_id}}}')
    assert isinstance(message, Call)
    assert message.id == call_id.encode()
    assert rpc.answer(message.id, 1) == b'{"jsonrpc":"2.0","id":%b,"result":1}' % message.id


def test_a_call_without_an_id_is_a_notification_and_without_params_has_none() -> None:
    assert call() == Call("m", msgspec.Raw(b"{}"), None)


@pytest.mark.parametrize("call_id", ["{}", "[]", "true", f'"{"x" * ID_BYTES_MAX}"'])
def test_an_id_of_another_kind_or_too_long_is_refused_without_echo(call_id: str) -> None:
    message = one(f'{{"jsonrpc":"2.0","method":"m","id":{call_id}}}')
    assert isinstance(message, Failure)
    assert (message.id, message.error.field) == (NULL, "id")
    assert f"at most {ID_BYTES_MAX} bytes" in str(message.error)


@pytest.mark.parametrize(
    ("line", "field"),
    [
        ('{"method":"m","id":7}', "jsonrpc"),
        ('{"jsonrpc":"1.0","method":"m","id":7}', "jsonrpc"),
        ('{"jsonrpc":2.0,"method":"m","id":7}', "jsonrpc"),
        ('{"jsonrpc":"2.0","id":7}', "method"),
        ('{"jsonrpc":"2.0","method":7,"id":7}', "method"),
    ],
)
def test_what_is_no_request_is_answered_under_its_id(line: str, field: str) -> None:
    message = one(line)
    assert isinstance(message, Failure)
    assert isinstance(message.error, InvalidRequest)
    assert (message.id, message.error.field) == (b"7", field)


@pytest.mark.parametrize("line", ['{"method":7}', '{"jsonrpc":"2.0"}'])
def test_what_is_no_request_and_has_no_id_is_answered_under_null(line: str) -> None:
    message = one(line)
    assert isinstance(message, Failure)
    assert message.id == NULL


@pytest.mark.parametrize("line", ["1", '"x"', "null", "true"])
def test_json_that_is_no_object_is_no_request(line: str) -> None:
    message = one(line)
    assert isinstance(message, Failure)
    assert isinstance(message.error, InvalidRequest)


@pytest.mark.parametrize(
    "line", [b"{", b"nonsense", b'{"a":1}}', b'{"jsonrpc":"\xff"}', b"[1,", b"[1]]"]
)
def test_a_line_that_is_not_json_is_a_parse_error(line: bytes) -> None:
    message = one(line)
    assert isinstance(message, Failure)
    assert isinstance(message.error, ParseError)
    assert message.id == NULL


@pytest.mark.parametrize("opening", [b"[", b'{"params":'])
def test_nesting_without_end_is_a_parse_error_not_a_crash(opening: bytes) -> None:
    deep = opening * 5_000
    for line in (deep, b'{"jsonrpc":"2.0","method":"m","params":%b' % deep):
        message = one(line)
        assert isinstance(message, Failure)
        assert isinstance(message.error, ParseError)


def test_deep_params_are_refused_by_the_method_that_reads_them() -> None:
    deep = b"[" * 20_000 + b"]" * 20_000
    with pytest.raises(InvalidParams):
        rpc.read_params(
            msgspec.json.Decoder(dict[str, object]),
            Call("m", msgspec.Raw(b'{"a":%b}' % deep), None),
        )


def test_a_batch_keeps_its_order_and_its_faults() -> None:
    received = receive(
        b' [{"jsonrpc":"2.0","method":"a","id":1}, 5, {"jsonrpc":"2.0","method":"b"}]'
    )
    assert received.is_batch
    first, second, third = received.messages
    assert isinstance(first, Call)
    assert isinstance(second, Failure)
    assert isinstance(third, Call)
    assert (first.method, third.method, third.id) == ("a", "b", None)
    assert rpc.batch([b"1", b"2"]) == b"[1,2]"


@pytest.mark.parametrize("size", [0, BATCH_MAX + 1])
def test_a_batch_of_none_or_too_many_is_one_failure(size: int) -> None:
    received = receive(json.dumps([{"jsonrpc": "2.0", "method": "m"}] * size).encode())
    assert not received.is_batch
    (failure,) = received.messages
    assert isinstance(failure, Failure)
    assert failure.error.reason == "batch_size"
    assert len(receive(json.dumps([1] * BATCH_MAX).encode()).messages) == BATCH_MAX


@given(st.binary(max_size=200))
def test_receive_never_raises(line: bytes) -> None:
    assert receive(line).messages


@given(
    st.lists(st.binary(max_size=20).filter(lambda line: b"\n" not in line)),
    st.integers(1, 7),
)
def test_lines_are_the_same_however_the_bytes_are_cut(lines: list[bytes], size: int) -> None:
    data = b"".join(line + b"\n" for line in lines) + b"unfinished"
    buffer, found = LineBuffer(), list[bytes]()
    for start in range(0, len(data), size):
        found += buffer.feed(data[start : start + size])
    assert found == [line for line in lines if line.strip()]
    assert buffer.feed(b"\n") == [b"unfinished"]


@pytest.mark.parametrize("end", [b"", b"\n"])
def test_a_line_with_its_newline_is_at_most_64_kib(end: bytes) -> None:
    longest = b"x" * (LINE_BYTES_MAX - 1)
    assert LineBuffer().feed(longest + b"\n") == [longest]
    buffer = LineBuffer()
    assert buffer.feed(b"{}\n" + longest + b"x" + end) == [b"{}"]
    assert buffer.fault is not None
    assert buffer.fault.reason == "line_too_long"
    assert buffer.feed(b"{}\n") == [], "it may be the rest of the long line"
    buffer.end()
    assert buffer.fault.reason == "line_too_long"


@pytest.mark.parametrize("end", [b"", b"\r", b" "])
def test_a_last_line_without_its_newline_is_a_fault_and_nothing_at_all_is_none(end: bytes) -> None:
    buffer = LineBuffer()
    assert buffer.feed(b"{}\n" + end) == [b"{}"]
    buffer.end()
    assert buffer.fault is None
    assert buffer.feed(b'{"id":1}' + end) == []
    buffer.end()
    assert isinstance(buffer.fault, ParseError)
    assert buffer.fault.reason == "line_unfinished"


def test_params_are_read_by_the_methods_own_decoder() -> None:
    params = rpc.read_params(
        decoder, Call("order.submit", msgspec.Raw(msgspec.json.encode(SUBMIT)), None)
    )
    assert (params.symbol, params.side) == ("BTCUSDT", "buy")
    assert str(rpc.read_number("qty", params.qty)) == "0.01"
    assert str(rpc.read_number("px", params.px)) == "39400"
    assert rpc.read_number("stop_px", params.stop_px) is None


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"side": "long"}, "side"),
        ({"side": 5}, "side"),
        ({"group": {"a": 1}}, "group[...]"),
        ({"colour": "red"}, "colour"),
        ({"symbol": ""}, "symbol"),
        ({"timeout_s": 61}, "timeout_s"),
    ],
)
def test_wrong_params_name_their_field(changes: dict[str, object], field: str) -> None:
    raw = msgspec.Raw(msgspec.json.encode(SUBMIT | changes))
    with pytest.raises(InvalidParams) as caught:
        rpc.read_params(decoder, Call("order.submit", raw, None))
    assert caught.value.field == field
    assert "order.submit" in str(caught.value)
    assert field.rpartition(".")[2].removesuffix("[...]") in str(caught.value)


@pytest.mark.parametrize(
    "name", ["post_only", "group", "wait", "timeout_s", "px", "cl_ord_id", "expire_at"]
)
def test_null_is_the_same_as_left_out(name: str) -> None:
    """Many languages write an optional member that is not set as null."""
    raw = msgspec.Raw(msgspec.json.encode({**SUBMIT, name: None}))
    without = {k: v for k, v in SUBMIT.items() if k != name}
    plain = msgspec.Raw(msgspec.json.encode(without))
    read = [rpc.read_params(decoder, Call("order.submit", each, None)) for each in (raw, plain)]
    assert read[0] == read[1]


@pytest.mark.parametrize("name", ["side", "colour"])
def test_null_stands_for_no_required_nor_unknown_param(name: str) -> None:
    raw = msgspec.Raw(msgspec.json.encode({**SUBMIT, "group": None, name: None}))
    with pytest.raises(InvalidParams) as caught:
        rpc.read_params(decoder, Call("order.submit", raw, None))
    assert caught.value.field == name


def test_missing_params_are_named_and_params_by_position_are_not_taken() -> None:
    with pytest.raises(InvalidParams) as caught:
        rpc.read_params(decoder, Call("order.submit", msgspec.Raw(b"{}"), None))
    assert caught.value.field == "symbol"
    with pytest.raises(InvalidParams) as caught:
        rpc.read_params(decoder, Call("order.submit", msgspec.Raw(b"[1]"), None))
    assert caught.value.field is None


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        (b'"0.010"', "0.01"),
        (b"0.1", "0.1"),
        (b"1e2", "100"),
        (b'"1e-8"', "0.00000001"),
        (b"null", None),
    ],
)
def test_a_number_is_read_exactly_as_text_or_as_json(raw: bytes, value: str | None) -> None:
    number = rpc.read_number("qty", msgspec.Raw(raw))
    assert (None if number is None else f"{number:f}") == value


@pytest.mark.parametrize(
    "raw",
    [
        b'"NaN"',
        b'"Infinity"',
        b'"1_000"',
        b'" 1"',
        b'"\\u0031"',
        '"\u0661"'.encode(),
        b"true",
        b"{}",
        b'""',
    ],
)
def test_what_is_no_plain_number_is_refused_by_name(raw: bytes) -> None:
    with pytest.raises(InvalidParams) as caught:
        rpc.read_number("qty", msgspec.Raw(raw))
    assert (caught.value.field, caught.value.reason) == ("qty", "not_a_decimal")


def test_an_error_is_told_with_its_code_its_sentence_and_its_data() -> None:
    error = InvalidOrder("px is off", reason="not_on_tick", field="px", hint="nearest: 5", tick="1")
    told = json.loads(rpc.failure(b'"id"', error))
    assert told == {
        "jsonrpc": "2.0",
        "id": "id",
        "error": {
            "code": 105,
            "message": "px is off (nearest: 5)",
            "data": {"reason": "not_on_tick", "field": "px", "hint": "nearest: 5", "tick": "1"},
        },
    }


def test_a_notification_has_no_id() -> None:
    told = json.loads(rpc.notification("event", {"seq": 1}))
    assert told == {"jsonrpc": "2.0", "method": "event", "params": {"seq": 1}}


@pytest.mark.parametrize(
    ("params", "field", "hint"),
    [
        (b'{"status": "CANECELLED"}', "status", 'did you mean "CANCELLED"?'),
        (b'{"status": ["OPEN", "CLOSD"]}', "status[1]", 'did you mean "CLOSED"?'),
        (b'{"side": "byu"}', "side", 'did you mean "buy"?'),
        (b'{"symbl": "X"}', "symbl", 'did you mean "symbol"?'),
        (b'{"limit": "x"}', "limit", "rpc.discover lists the params"),
        (b'{"time": {"time_type": "relatve"}}', "time.time_type", 'did you mean "relative"?'),
        (b'{"time": {"lst": "1h"}}', "time.lst", 'did you mean "last"?'),
        (b'{"time": {"last": "1h"}}', "time.time_type", "known are absolute, relative"),
        (b'{"group": {"%s": "x"}}' % (b"k" * 65), "group", "rpc.discover lists the params"),
    ],
)
def test_a_wrong_param_is_told_the_nearest_right_one(params: bytes, field: str, hint: str) -> None:
    decoder = msgspec.json.Decoder(ListParams)
    with pytest.raises(InvalidParams) as refused:
        read_params(decoder, Call("order.list", msgspec.Raw(params), b"1"))
    assert (refused.value.field, refused.value.hint) == (field, hint)


def test_of_params_that_are_no_struct_nothing_nearer_is_known() -> None:
    with pytest.raises(InvalidParams) as refused:
        read_params(msgspec.json.Decoder(int), Call("x", msgspec.Raw(b'"1"'), b"1"))
    assert (refused.value.field, refused.value.hint) == (None, "rpc.discover lists the params")


def test_a_wrong_word_of_a_submit_is_told_the_nearest_right_one() -> None:
    decoder = msgspec.json.Decoder(SubmitParams)
    call = Call("order.submit", msgspec.Raw(b'{"wait": "venu"}'), b"1")
    with pytest.raises(InvalidParams) as refused:
        read_params(decoder, call)
    assert refused.value.hint == 'did you mean "venue"?'
