"""Many orders at the venue that the journal does not know: the daemon stays awake over them."""

from tests.daemon_process import DaemonProcess, market

ORDERS = 60


def test_a_journal_put_back_freezes_the_executor_and_the_daemon_still_answers_and_stops() -> None:
    with DaemonProcess() as daemon:
        daemon.start()
        with daemon.bot() as bot:
            for _ in range(ORDERS):
                bot.call("order.submit", **market(), wait="venue")
        assert daemon.stop() == 0
        for path in daemon.state.glob("journal*"):
            path.unlink()
        daemon.start()
        with daemon.bot() as bot:
            bot.call("events.subscribe", after_seq=0, events=["executor_changed"])
            while bot.next_event()["params"]["state"] != "frozen":
                pass
            assert bot.call("executor.list")["executors"][0]["state"] == "frozen"
            assert bot.call("order.list")["orders"] == []
        assert daemon.stop() == 0
