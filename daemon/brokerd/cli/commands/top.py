"""Watch it all at once: `brokerctl top`."""

import time
from argparse import Namespace
from contextlib import suppress

from brokerd.cli.activity import EVENTS, Activity
from brokerd.cli.arguments import Parser, seconds
from brokerd.cli.commands.explain import story
from brokerd.cli.control import Control
from brokerd.cli.errors import Exit, Failure, Usage
from brokerd.cli.jsontext import as_record, as_records
from brokerd.cli.screen import Screen
from brokerd.cli.topview import SORTS, Told, View, frame, shown_orders
from brokerd.cli.wire import Connection, Lost, Silence

EVERY_S, EVERY_S_MIN, EVERY_S_MAX = 1.0, 0.25, 60.0
ANSWER_S_MAX = 2.0
"""No longer than this does a key wait for a daemon that is stuck."""

ORDERS_MAX = 200
EVENTS_PER_LOOK = 2_000


def add_options(parser: Parser) -> None:
    """Declare how often."""
    parser.add_argument(
        "--every",
        type=seconds,
        default=EVERY_S,
        metavar="S",
        help="seconds between looks, 1 if left out",
    )


def run(control: Control, options: Namespace) -> Exit:
    """Draw until q; a daemon that is away is waited for."""
    if options.output == "json":
        raise Usage("top is for a person", "a program asks: status, orders, executors, tail, stats")
    control.timeout_s = min(control.timeout_s, ANSWER_S_MAX)
    with Screen() as screen:
        Top(control, screen, View(every_s=options.every)).run()
    return Exit.DONE


class Top:
    """The loop: look, draw, wait for a key or an event or the next look."""

    def __init__(self, control: Control, screen: Screen, view: View) -> None:
        self._control = control
        self._screen = screen
        self._view = view
        self._told = Told()
        self._activity = Activity()
        self._events: Connection | None = None
        self._calls: tuple[float, int] | None = None

    def run(self) -> None:
        """Go on until the person at the keyboard has seen enough."""
        view, next_s = self._view, 0.0
        while True:
            now_s = time.monotonic()
            if now_s >= next_s and not view.paused:
                self._look(now_s)
                next_s = now_s + view.every_s
            self._draw()
            patience_s = view.every_s if view.paused else next_s - time.monotonic()
            for key in self._wait(patience_s):
                if key == "q":
                    return
                self._press(key)
                next_s = 0.0 if key in {"+", "-", " ", "enter"} else next_s

    def _draw(self) -> None:
        now_s = time.monotonic()
        self._screen.draw(frame(self._control.out, self._told, self._view, self._activity, now_s))

    def _wait(self, patience_s: float) -> list[str]:
        """Take events in until it is time to draw or a key is pressed."""
        until_s = time.monotonic() + patience_s
        while True:
            fd = self._events.fileno() if self._events else None
            keys = self._screen.wait(until_s - time.monotonic(), fd)
            is_news = self._take_events()
            if keys or not is_news or time.monotonic() >= until_s:
                return keys

    def _take_events(self) -> bool:
        """Take in what has arrived; a stream that ended is submitted anew at the next look."""
        if self._events is None:
            return False
        now_s, taken = time.monotonic(), 0
        try:
            while taken < EVENTS_PER_LOOK:
                message = self._events.receive(now_s)
                taken += 1
                if message.get("method") == "event":
                    self._activity.take(as_record(message.get("params")), now_s)
                elif message.get("method") == "events.lagging":
                    self._hang_up()
                    return True
        except Silence:
            return taken > 0
        except Lost:
            self._hang_up()
        return True

    def _hang_up(self) -> None:
        if self._events is not None:
            self._events.close()
            self._events = None

    def _look(self, now_s: float) -> None:
        """Ask for everything once; what is not answered is said on the screen."""
        control, told = self._control, self._told
        try:
            if self._events is None:
                self._subscribe(now_s)
            told.daemon = control.ask("daemon.info")
            told.answer_s = time.monotonic() - now_s
            told.executors = as_records(control.ask("executor.list").get("executors"))
            wanted = {"status": ["OPEN", "PENDING"], "limit": ORDERS_MAX}
            told.orders = as_records(control.ask("order.list", wanted).get("orders"))
            told.away = ""
            self._count_calls(now_s)
            self._read_story()
        except (Failure, Lost) as away:
            control.hang_up()
            self._hang_up()
            told.away = f"{away}: waiting for the daemon"

    def _subscribe(self, now_s: float) -> None:
        link = Connection(self._control.paths, self._control.timeout_s)
        try:
            link.call("events.subscribe", {"events": list(EVENTS)})
        except (Failure, Lost):
            link.close()
            raise
        self._events = link
        self._activity.begin(now_s)

    def _count_calls(self, now_s: float) -> None:
        calls = self._told.daemon.get("calls")
        if not isinstance(calls, int):
            return
        before_s, before = self._calls or (now_s, calls)
        if now_s > before_s and calls >= before:
            self._told.calls_per_s = (calls - before) / (now_s - before_s)
        self._calls = (now_s, calls)

    def _read_story(self) -> None:
        if self._view.story_of is not None:
            explained = self._control.ask("order.explain", {"cl_ord_id": self._view.story_of})
            self._told.story = story(self._control.out, explained)

    def _press(self, key: str) -> None:
        view = self._view
        if key == "escape" and (view.helping or view.story_of):
            view.helping, view.story_of = False, None
        elif key in {"?", "h"}:
            view.helping = not view.helping
        elif key in {" ", "p"}:
            view.paused = not view.paused
        elif key == "s":
            view.sort = SORTS[(SORTS.index(view.sort) + 1) % len(SORTS)]
        elif key == "e":
            self._next_executor()
        elif key in {"+", "-"}:
            longer_s = view.every_s * (0.5 if key == "+" else 2)
            view.every_s = min(max(longer_s, EVERY_S_MIN), EVERY_S_MAX)
        elif key == "enter" and view.chosen:
            view.story_of, self._told.story = view.chosen, []
            if view.paused:
                with suppress(Failure):
                    self._read_story()
        else:
            self._choose({"up": -1, "k": -1, "down": 1, "j": 1}.get(key, 0))

    def _next_executor(self) -> None:
        names = [None, *(str(each.get("name")) for each in self._told.executors)]
        at = names.index(self._view.executor) if self._view.executor in names else 0
        self._view.executor = names[(at + 1) % len(names)]

    def _choose(self, step: int) -> None:
        ids = [str(order.get("cl_ord_id")) for order in shown_orders(self._told, self._view)]
        if not step or not ids:
            return
        if self._view.chosen not in ids:
            self._view.chosen = ids[0]
            return
        at = ids.index(self._view.chosen) + step
        self._view.chosen = ids[min(max(at, 0), len(ids) - 1)]
