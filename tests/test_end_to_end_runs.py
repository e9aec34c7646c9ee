"""Runs of the daemon: how they end, what the next one finds, and why one is refused."""

import os
import re
import signal
import sqlite3
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.daemon_process import (
    Bot,
    DaemonProcess,
    Message,
    Told,
    brokerctl,
    exported,
    limit,
    market,
    running,
)

NOBODY = 65534


@pytest.fixture
def stopped() -> Iterator[DaemonProcess]:
    """A daemon that has a filled and a resting order behind it, and runs no more."""
    with running() as daemon:
        with daemon.bot() as bot:
            bot.call("order.submit", **market(cl_ord_id="filled"), wait="venue")
            bot.call("order.submit", **limit(cl_ord_id="resting"), wait="venue")
        assert daemon.stop() == 0
        yield daemon


def code_of(bot: Bot, method: str, **params: object) -> int:
    with pytest.raises(Told) as told:
        bot.call(method, **params)
    return told.value.code


def test_a_restart_finds_orders_fills_and_what_rests_at_the_venue(stopped: DaemonProcess) -> None:
    before = exported(stopped.journal)
    stopped.start()
    with stopped.bot() as bot:
        orders = {each["cl_ord_id"]: each for each in bot.call("order.list")["orders"]}
        assert {name: each["ord_status"] for name, each in orders.items()} == {
            "filled": "filled",
            "resting": "new",
        }
        fills = bot.call("fill.list", cl_ord_id="filled")["fills"]
        traded = [row["event"] for row in before if row["event"]["event"] == "order_traded"]
        assert [fill["exec_id"] for fill in reversed(fills)] == [one["exec_id"] for one in traded]
        assert bot.call("order.check", cl_ord_id="resting") == orders["resting"]
        assert bot.call("order.check", cl_ord_id="filled")["cum_qty"] == "0.01"
        bot.call("events.subscribe", cl_ord_id="resting")
        bot.call("order.cancel", cl_ord_id="resting")
        assert bot.next_event()["params"]["event"] == "cancel_requested"
        assert bot.next_event()["params"]["event"] == "order_canceled"
        assert len(bot.call("fill.list", cl_ord_id="filled")["fills"]) == len(traded)
    assert exported(stopped.journal)[: len(before)] == before


def test_sigterm_and_daemon_stop_end_the_run_in_order_with_status_0(
    stopped: DaemonProcess,
) -> None:
    last = exported(stopped.journal)[-1]["event"]
    assert (last["event"], last["reason"]) == ("daemon_stopped", "SIGTERM")
    assert not stopped.socket_path.exists()
    stopped.start()
    with stopped.bot() as watcher, stopped.bot() as bot:
        watcher.call("events.subscribe", events=["daemon_stopped"])
        assert bot.call("daemon.stop") == {"stopping": True}
        assert stopped.wait() == 0
        assert watcher.next_event()["params"]["event"] == "daemon_stopped"
        assert watcher.is_hung_up()
    assert exported(stopped.journal)[-1]["event"]["reason"] == "asked by a bot"


def stopping_slowly() -> DaemonProcess:
    """A daemon that was asked to stop and waits for an answer that will not come."""
    late = {"script": ["late"], "delay_s": 3600.0}
    daemon = DaemonProcess(executor={"faults": late}).start()
    with daemon.bot() as bot:
        bot.call("order.submit", **limit(cl_ord_id="late"))
        daemon.signal(signal.SIGTERM)
        while True:
            try:
                bot.call("order.submit", **limit())
            except Told as told:
                if told.code == 301:
                    return daemon
                raise


def test_while_it_stops_a_new_order_is_error_301_and_cancels_and_repeats_are_not() -> None:
    with stopping_slowly() as daemon, daemon.bot() as bot:
        assert bot.call("order.submit", **limit(cl_ord_id="late"))["cl_ord_id"] == "late"
        assert bot.call("order.cancel", cl_ord_id="late")["cl_ord_id"] == "late"


def test_a_second_sigterm_kills() -> None:
    with stopping_slowly() as daemon:
        daemon.signal(signal.SIGTERM)
        assert daemon.wait() == -signal.SIGTERM
        daemon.start()
        assert daemon.call("order.get", cl_ord_id="late")["cl_ord_id"] == "late"


@pytest.mark.parametrize("stray", [signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2])
def test_a_signal_sent_by_habit_ends_nothing_and_is_logged(stray: signal.Signals) -> None:
    """logrotate's postrotate, a reload, a closed terminal: each of them kills by default."""
    with running() as daemon, daemon.bot() as bot:
        daemon.signal(stray)
        while not (told := daemon.logged("signal_ignored")):
            bot.call("daemon.ping")
        assert [line["signal"] for line in told] == [stray.name]
        assert bot.call("order.submit", **limit(), wait="venue")["ord_status"] == "new"
        assert daemon.stop() == 0


@pytest.mark.parametrize("stray", [signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2])
def test_a_signal_sent_by_habit_does_not_end_a_start(stray: signal.Signals) -> None:
    """The start stands still while it reads its configuration, out of a pipe."""
    with DaemonProcess() as daemon:
        wanted = daemon.config.read_text()
        daemon.config.unlink()
        os.mkfifo(daemon.config)

        def send_then_feed() -> None:
            with daemon.config.open("w") as pipe:  # waits for the reader
                daemon.signal(stray)
                pipe.write(wanted)

        feeder = threading.Thread(target=send_then_feed)
        feeder.start()
        daemon.start()
        feeder.join()
        assert daemon.stop() == 0


def test_a_signal_sent_by_habit_to_the_whole_unit_leaves_statistics_running() -> None:
    with running() as daemon, daemon.bot() as bot:
        bot.call("stats.get")
        children = Path(f"/proc/{daemon.pid}/task/{daemon.pid}/children")
        (survey,) = map(int, children.read_text().split())
        for stray in (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
            os.kill(survey, stray)
            bot.call("stats.get")
        assert children.read_text().split() == [str(survey)]


def test_a_submit_that_waits_for_the_venue_does_not_hold_up_a_stop() -> None:
    late = {"script": ["lose_request"] * 5, "seed": 1}
    settings: Message = {"daemon": {"shutdown_grace_s": 0}, "executor": {"faults": late}}
    with running(**settings) as daemon, daemon.bot() as bot:
        bot.ask("order.submit", **limit(cl_ord_id="lost"), wait="venue", timeout_s=60)
        with daemon.bot() as other:
            other.call("daemon.ping")
        assert daemon.stop() == 0
        assert exported(daemon.journal)[-1]["event"]["event"] == "daemon_stopped"


def test_a_second_daemon_on_the_same_journal_exits_78_and_names_the_first() -> None:
    with running() as first, DaemonProcess(first.state) as second:
        status, said = second.refusal()
        assert status == 78
        assert f"pid {first.pid}," in said
        assert first.call("daemon.ping")["pong"]


def test_a_second_daemon_never_takes_a_socket_that_is_answered(tmp_path: Path) -> None:
    with running() as first, DaemonProcess(tmp_path) as second:
        config = second.config.read_text()
        theirs = re.search(r'socket = "(.*)"', first.config.read_text())
        assert theirs is not None
        second.config.write_text(re.sub(r'socket = ".*"', f'socket = "{theirs[1]}"', config))
        status, said = second.refusal()
        assert status == 78
        assert "somebody answers on" in said
        assert first.call("daemon.ping")["pong"]


def test_a_state_directory_that_cannot_be_written_exits_78(tmp_path: Path) -> None:
    mount = ["mount", "-t", "tmpfs", "-o", "ro,size=4m", "tmpfs", str(tmp_path)]
    is_root = os.geteuid() == 0
    if is_root and subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("root can write anywhere, and may not mount a read-only file system here")
    tmp_path.chmod(0o555) if not is_root else None
    try:
        with DaemonProcess(tmp_path) as daemon:
            status, said = daemon.refusal()
    finally:
        if is_root:
            subprocess.run(["umount", "-l", str(tmp_path)], check=True)
    assert status == 78
    assert str(tmp_path) in said


def test_a_misspelt_key_exits_78_naming_it_and_the_one_that_was_meant() -> None:
    with DaemonProcess(daemon={"jornal": "x.db"}) as daemon:
        status, said = daemon.refusal()
    assert status == 78
    assert "daemon.jornal" in said
    assert '"journal"' in said


def corrupt(journal: Path, seq: int) -> None:
    """Change a digit of one row behind the triggers' backs, as a bad disk would."""
    with sqlite3.connect(journal) as db:
        ((trigger,),) = db.execute(
            "SELECT sql FROM sqlite_master WHERE name = 'journal_no_update'"
        ).fetchall()
        db.execute("DROP TRIGGER journal_no_update")
        db.execute("UPDATE journal SET body = replace(body, '1', '2') WHERE seq = ?", (seq,))
        db.execute(trigger)
    db.close()


@pytest.mark.parametrize("place", ["at the end", "in the middle"])
def test_a_corrupt_row_exits_1_naming_it_and_fails_verify(
    stopped: DaemonProcess, place: str
) -> None:
    seq = len(exported(stopped.journal)) if place == "at the end" else 4
    corrupt(stopped.journal, seq)
    # The read model remembers good rows: without it the journal is read whole.
    (stopped.state / "journal-history.db").unlink()
    status, said = stopped.refusal()
    assert status == 1
    assert f"row {seq} of the journal cannot be trusted" in said
    verified = brokerctl("-o", "json", "journal", "verify", str(stopped.journal))
    assert verified.returncode == 5
    assert f'"first_bad":{seq}' in verified.stdout.replace(" ", "")


def test_until_its_venue_was_reached_an_executor_is_error_300() -> None:
    with DaemonProcess() as daemon:
        daemon.state.mkdir()
        # The venue cannot come back before somebody has written its log to the end.
        log = daemon.state / "paper-paper.log"
        os.mkfifo(log)
        daemon.listen()
        with daemon.bot() as bot:
            bot.call("events.subscribe", events=["executor_changed"])
            assert code_of(bot, "order.submit", **limit()) == 300
            with log.open("wb"):
                pass
            while bot.next_event()["params"]["state"] != "up":
                pass
            assert bot.call("order.submit", **limit())["status"] == "PENDING"


def test_a_venue_that_does_not_answer_is_error_202_and_one_that_is_down_201() -> None:
    with DaemonProcess(executor={"faults": {"lose_answer": 1.0}}) as daemon:
        daemon.listen()
        with daemon.bot() as bot:
            bot.call("events.subscribe", after_seq=0, events=["executor_changed"])
            codes: set[int] = set()
            while codes != {201, 202}:
                state = bot.next_event()["params"]["state"]
                try:
                    order = bot.call("order.submit", **limit())
                    assert state == "syncing"
                    bot.call("order.check", cl_ord_id=order["cl_ord_id"])
                except Told as told:
                    codes.add(told.code)


def test_only_the_daemons_own_user_and_root_may_stop_it() -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root, to become somebody else")
    with DaemonProcess() as daemon:
        daemon.home.chmod(0o755)
        before = os.umask(0)
        daemon.start()
        os.umask(before)
        os.seteuid(NOBODY)
        try:
            stranger = daemon.bot()
        finally:
            os.seteuid(0)
        with stranger:
            assert code_of(stranger, "daemon.stop") == 400
            assert stranger.call("daemon.ping")["pong"]


def test_a_repeat_of_a_forgotten_order_finds_it_though_new_orders_are_refused(
    stopped: DaemonProcess,
) -> None:
    """ "Nothing was sent" would be a lie about it, and a bot might send it elsewhere."""
    stopped.configure(executor={"faults": {"lose_answer": 1.0}})
    stopped.listen()
    with stopped.bot() as bot:
        bot.call("events.subscribe", after_seq=0, events=["executor_changed"])
        states: list[str] = []
        while (
            states[-1:] != ["down"] or bot.call("executor.list")["executors"][0]["state"] != "down"
        ):
            states.append(bot.next_event()["params"]["state"])
        order = bot.call("order.submit", **market(cl_ord_id="filled"))
        assert (order["cl_ord_id"], order["ord_status"]) == ("filled", "filled")
        assert code_of(bot, "order.submit", **market(cl_ord_id="filled", qty="0.02")) == 100


def test_limits_hold_over_the_socket_and_through_a_restart() -> None:
    """What is open counts however it came to be open; the error says which key and by how much."""
    limits = {"open_orders_max": 2, "open_notional_max": "100000"}
    with running(executor={"limits": limits}) as daemon:
        with daemon.bot() as bot:
            for number in range(2):
                bot.call("order.submit", **limit(cl_ord_id=f"l-{number}"), wait="venue")
        daemon.kill()
        daemon.start()
        with daemon.bot() as bot:
            with pytest.raises(Told) as refused:
                bot.call("order.submit", **limit(cl_ord_id="l-2"))
            data = refused.value.data
            assert (refused.value.code, data["reason"]) == (103, "open_orders_max")
            assert (data["would_be"], data["limit"]) == ("3", "2")
            again = bot.call("order.submit", **limit(cl_ord_id="l-1"))
            assert again["ord_status"] == "new", "a repeat is answered"
            bot.call("events.subscribe", events=["order_canceled"])
            bot.call("order.cancel", cl_ord_id="l-0")
            bot.next_event()
            bot.call("order.submit", **limit(cl_ord_id="l-2"), wait="venue")
            (shown,) = bot.call("executor.list")["executors"]
            assert (shown["open_orders"], shown["limits"]["open_orders_max"]) == (2, 2)
            assert code_of(bot, "order.replace", cl_ord_id="l-2", qty="1000") == 103
