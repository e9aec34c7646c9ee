"""Framing, numbers and limits on the daemon's socket, as brokerctl sees them."""

import json
from pathlib import Path
from typing import Any

import pytest
from tests.scripted_daemon import Peer, Request, ScriptedDaemon, order, raw, reply, say

from brokerd.cli import main
from brokerd.cli.errors import Exit, Usage
from brokerd.cli.jsontext import dumps, loads
from brokerd.cli.wire import Connection, Lost
from brokerd.sockets import LOCAL_SOCKET, SYSTEM_SOCKET, socket_paths


def call(script: dict[str, Any], method: str, **params: Any) -> Any:
    with ScriptedDaemon(script) as daemon, Connection([daemon.path], 5.0) as link:
        return link.call(method, params)


def test_an_answer_may_come_byte_by_byte() -> None:
    def dribble(peer: Peer, request: Request) -> None:
        answer = {"jsonrpc": "2.0", "id": request["id"], "result": "pöng"}
        for byte in json.dumps(answer, ensure_ascii=False).encode() + b"\n":
            peer.sendall(bytes([byte]))

    assert call({"daemon.ping": dribble}, "daemon.ping") == "pöng"


def test_a_huge_answer_comes_whole() -> None:
    page = {"orders": [order(f"a-{i}") for i in range(10_000)]}
    assert call({"order.list": page}, "order.list") == page


def test_notifications_before_the_answer_are_not_taken_for_it() -> None:
    def chatter(peer: Peer, request: Request) -> None:
        event = json.dumps({"jsonrpc": "2.0", "method": "event", "params": {"seq": 1}}).encode()
        answer = json.dumps({"jsonrpc": "2.0", "id": request["id"], "result": 7}).encode()
        peer.sendall(event + b"\n" + event + b"\n" + answer + b"\n")

    assert call({"daemon.ping": chatter}, "daemon.ping") == 7


def test_several_calls_go_over_one_connection() -> None:
    with ScriptedDaemon({"daemon.ping": [1, 2]}) as daemon, Connection([daemon.path], 5.0) as link:
        assert [link.call("daemon.ping", {}), link.call("daemon.ping", {})] == [1, 2]


@pytest.mark.parametrize(
    "line",
    [b"[" * 100_000, b'{"id":1,"result":NaN}', b"\xff\xfe", b'{"id":1}', b"", b"null"],
    ids=["deep", "NaN", "not UTF-8", "no result", "empty", "null"],
)
def test_garbage_is_no_answer(line: bytes) -> None:
    with pytest.raises(Lost):
        call({"daemon.ping": raw(line + b"\n")}, "daemon.ping")


def test_an_endless_answer_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("brokerd.cli.wire.ANSWER_BYTES_MAX", 1_000_000)
    with pytest.raises(Lost, match="longer than 1,000,000 bytes"):
        call({"daemon.ping": raw(b"x" * 3_000_000)}, "daemon.ping")


def test_a_request_longer_than_the_daemon_takes_is_not_sent() -> None:
    with ScriptedDaemon({"daemon.ping": 1}) as daemon, Connection([daemon.path], 5.0) as link:
        with pytest.raises(Usage, match="limit is 65,536"):
            link.call("daemon.ping", {"text": "x" * 65_536})
        assert link.call("daemon.ping", {}) == 1
    assert len(daemon.requests) == 1


def test_a_daemon_that_is_gone_before_the_first_byte_got_nothing() -> None:
    with ScriptedDaemon({"daemon.ping": raw(b"x")}) as daemon:
        link = Connection([daemon.path], 5.0)
    with link, pytest.raises(Lost) as lost:
        link.call("daemon.ping", {})
    assert not lost.value.sent


def test_numbers_reach_the_wire_and_the_screen_digit_for_digit(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def exact(peer: Peer, request: Request) -> None:
        answer = '{"jsonrpc":"2.0","id":%d,"result":{"px":0.10,"n":12345678901234567890}}\n'
        peer.sendall((answer % request["id"]).encode())

    with ScriptedDaemon({"order.get": exact}) as daemon:
        argv = ["call", "order.get", "qty=0.1000000000000000055", "px=1e2", "id=x1", "on=true"]
        assert main(["--socket", daemon.path, *argv]) == Exit.DONE
    assert capsys.readouterr().out == '{"px":0.10,"n":12345678901234567890}\n'
    params = loads('{"qty":0.1000000000000000055,"px":1e2,"id":"x1","on":true}')
    assert dumps(params) == '{"qty":0.1000000000000000055,"px":1e2,"id":"x1","on":true}'
    assert daemon.params("order.get")[0]["on"] is True


def test_what_is_dumped_is_what_was_loaded() -> None:
    text = '{"a":[1,2.50,-0.0,"\\u00e9\\u0007\\ud83d\\ude00",null,true,{}],"b":"x\\"y"}'
    assert dumps(loads(text)) == text


def test_call_merges_params_with_pairs_and_forces_json(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with ScriptedDaemon({"m.get": 1}) as daemon:
        argv = ["call", "m.get", "b=text", 'c:={"d":[1]}', 'e="5"', "--params", '{"a":1,"b":2}']
        assert main(["--socket", daemon.path, *argv]) == Exit.DONE
    assert daemon.params("m.get") == [{"a": 1, "b": "text", "c": {"d": [1]}, "e": "5"}]


def test_the_socket_is_looked_for_in_the_documented_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BROKERD_SOCKET", "/from/environment")
    assert socket_paths("/from/option") == ["/from/option"]
    assert socket_paths(None) == ["/from/environment"]
    monkeypatch.delenv("BROKERD_SOCKET")
    assert socket_paths(None) == [SYSTEM_SOCKET, LOCAL_SOCKET]


def test_the_directory_s_own_socket_is_found_when_there_is_no_other(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("BROKERD_SOCKET", raising=False)
    monkeypatch.setattr("brokerd.sockets.SYSTEM_SOCKET", str(tmp_path / "none"))
    monkeypatch.chdir(tmp_path)
    with ScriptedDaemon({"daemon.ping": "pong"}) as daemon:
        Path("var").mkdir()
        Path(LOCAL_SOCKET).symlink_to(daemon.path)
        assert main(["call", "daemon.ping"]) == Exit.DONE
    assert capsys.readouterr().out == '"pong"\n'


def test_an_error_without_an_id_is_the_daemons_answer_too() -> None:
    def refuse(peer: Peer, request: Request) -> None:
        say(peer, {"jsonrpc": "2.0", "id": None, "error": {"code": -32700, "message": "no"}})

    with ScriptedDaemon({"daemon.info": refuse}) as daemon:
        assert main(["--socket", daemon.path, "status"]) == Exit.REFUSED


def test_an_id_the_daemon_does_not_know_is_tried_as_an_executor_s(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def cancel(peer: Peer, request: Request) -> None:
        if request["params"]["cl_ord_id"] == "a-1":
            reply(peer, request, order())
        else:
            error = {"code": 101, "message": "no order has the id"}
            say(peer, {"jsonrpc": "2.0", "id": request["id"], "error": error})

    with ScriptedDaemon({"order.cancel": cancel, "order.get": order()}) as daemon:
        assert main(["--socket", daemon.path, "cancel", "paper:17"]) == Exit.DONE
        assert main(["--socket", daemon.path, "cancel", "nobody"]) == Exit.REFUSED
    assert daemon.params("order.get") == [{"executor_id": "paper:17"}]
