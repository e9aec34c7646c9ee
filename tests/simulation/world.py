"""One seed: everything it needs, what goes wrong in it, and the healing after which all must settle."""

import random
import traceback
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from unittest.mock import patch

import structlog
from msgspec import Struct
from msgspec.structs import replace
from tests.simulation import faults, themes
from tests.simulation.bots import Answer, Ask, Bot
from tests.simulation.disk import BALLAST_ROWS, Disk
from tests.simulation.life import Life
from tests.simulation.loop import BusyLoop, Time
from tests.simulation.network import Network
from tests.simulation.oracle import Oracle, Violation
from tests.simulation.promises import draw_capabilities, draw_manners
from tests.simulation.story import STARTS_S, Story
from tests.simulation.venue import Venue
from tests.simulation.venue_log import STRANGER, WEB, true_ns

from brokerd import dispatch, pauses, poller
from brokerd.config.load import DaemonConfig
from brokerd.errors import JournalError
from brokerd.limits import Limits

SETTLED_AFTER_S = 240.0
"""The bound: the longest delay, window and lag, two questions at the slowest rate, a reconnect."""

QUIET_S = 45.0
"""A seed that has settled, and of which so long nothing was heard, is over: three looks, any delay."""

LOOK_S = 15.0
"""How often a seed is asked whether it is over."""

STEPS_S = (-3600.0, -30.0, -1.0, 1.0, 30.0, 3600.0)
LAST_ANSWERS_S = 15.0
SIZES = (
    # Few lanes fill up.
    (dispatch, "LANES", 5),
    (dispatch, "CANCEL_LANES", 3),
    # Looking for a pause four times a second would cost more than all of a seed's orders.
    (pauses, "NOTED_WITHIN_S", 1.0),
    # What is looked at twice for good measure would hide what is never looked at.
    (poller, "OVERLAP_S", 0.0),
)
"""What is otherwise in a seed: (module, name, value)."""

KILL_WITHIN_STEPS = 150
MOMENT_S = 0.01

LIVES = "the daemon lives"
"""The promise that is broken by an error which ends it."""


class WorldClock:
    """The host's clocks: no two looks alike, and the wall clock can be set."""

    def __init__(self, time: Time) -> None:
        self.set_by_s = 0.0
        self._time = time
        self._last_ns = 0

    def monotonic_ns(self) -> int:
        self._last_ns = max(self._last_ns + 1, int(self._time.now_s * 1e9))
        return self._last_ns

    def now_ns(self) -> int:
        return self.monotonic_ns() + true_ns(self.set_by_s)


class Failure(Struct, frozen=True):
    """A seed that failed: what was broken, and the story of how it came to that."""

    seed: int
    invariant: str
    what: str
    story: str


class Lived(Struct, frozen=True):
    """
    A seed that was lived through, and what is wrong with it, if anything.

    `questions` counts what venues were asked about its `orders`, `questions_most` about one of them.
    """

    orders: int
    questions: int
    questions_most: int
    failure: Failure | None = None


class World:
    """One seed. `run` returns None, or what is wrong."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.rng = rng = random.Random(seed)
        self.time = Time()
        self.clock = WorldClock(self.time)
        self.story = Story()
        self.theme = themes.draw(rng)
        self.faults = replace(faults.draw(rng), **self.theme.faults)
        self.config = replace(_draw_config(rng), **self.theme.config)
        names = ["north", "south"][: rng.choice((1, 1, 2))]
        venues = {name: self._venue(name) for name in names}
        self.limits = {name: _draw_limits(rng) for name in names}
        self.oracle = Oracle(venues, self.limits, self.story, self.time, self.fail)
        self.disk = self.oracle.disk = Disk(rng, self.oracle.on_rows)
        self.networks = {
            name: Network(self.time, rng, lambda: self.faults, self.story, venue)
            for name, venue in venues.items()
        }
        self.bots = [
            Bot(
                f"bot{n}",
                time=self.time,
                rng=rng,
                daemon=self,
                executors=names,
                oracle=self.oracle,
                story=self.story,
                changes=self.theme.changes,
                changes_by=self.theme.changes_by,
            )
            for n in range(rng.randint(1, 3))
        ]
        self.watched_seq = 0
        self.runs = 0
        self._life: Life | None = None
        self._failure: BaseException | None = None
        self._trouble_s = rng.uniform(*self.theme.trouble_s)
        self._is_healed = False
        self._set_while_down_s = 0.0

    def _venue(self, name: str) -> Venue:
        promised = replace(draw_capabilities(self.rng), **self.theme.promises)
        manners = replace(draw_manners(self.rng, promised), **self.theme.manners)
        return Venue(
            name,
            time=self.time,
            rng=self.rng,
            capabilities=promised,
            manners=manners,
            story=self.story,
        )

    def run(self) -> Failure | None:
        """Live through the seed."""
        # Where nobody sets the clock, the stamps of an earlier run can be taken at their word.
        overlap_s = poller.RESTART_OVERLAP_S if self.faults.clock_steps else 0.0
        with patch.object(poller, "RESTART_OVERLAP_S", overlap_s):
            return self._run()

    def _run(self) -> Failure | None:
        try:
            self._plan()
            self._start()
            self._pass(self._trouble_s)
            self._heal()
            self._settle()
            for bot in self.bots:
                bot.ask_for_all()
            self._pass(LAST_ANSWERS_S)
            self.oracle.at_end(self.time.now_s - STARTS_S, self.runs, self.config.poll_floor_s)
        except (Violation, Exception) as error:  # noqa: BLE001 - whatever kills the daemon fails the seed
            return self._failed(error)
        finally:
            if self._life is not None:
                self._life.end()
        return None

    # The socket, as bots see it.

    def call(self, ask: Ask, answer: Callable[[Answer], None]) -> bool:
        """Put a bot's question to the daemon, if there is one."""
        if self._life is None or not self._life.is_serving:
            return False
        self._life.call(ask, answer)
        return True

    # What happens to the daemon.

    def kill(self) -> None:
        """End the run as kill -9 and a power cut do, between two calls of its loop."""
        if self._life is not None:
            self._tell("KILLED")
            self._bury()
            self.time.after(self.rng.uniform(0.01, 1.0), self._start)

    def fail(self, error: BaseException | None) -> None:
        """Remember the first thing that is wrong; nothing more happens after it."""
        self._failure = self._failure or error
        self.time.is_over = True
        if self._life is not None:
            self._life.loop.is_over = True

    def _start(self) -> None:
        if self._life is None:
            if self._set_while_down_s:
                self._set_clock(self._set_while_down_s)
                self._set_while_down_s = 0.0
            self.runs += 1
            self._tell("run {} starts", self.runs)
            self._life = Life(self, self.runs, self._ended)

    def _bury(self) -> None:
        assert self._life is not None
        self._life.end()
        self._life = None
        for network in self.networks.values():
            network.run_ends()
        self.oracle.on_crash(self.disk.crash())

    def _ended(self, error: BaseException | None) -> None:
        """Start the daemon again, as systemd does; see that it had a reason to end."""
        causes = _leaves(error)
        if not all(isinstance(each, JournalError) for each in causes):
            self.fail(next(each for each in causes if not isinstance(each, JournalError)))
            return
        self._tell("run ends: {}", [str(each) for each in causes] or "asked to")
        self.time.after(0.0, self._end_of_run)

    def _end_of_run(self) -> None:
        if self._life is not None:
            self._bury()
            self.time.after(1.0, self._start)

    # What goes wrong.

    def _plan(self) -> None:
        for bot in self.bots:
            bot.begin()
        plan, end_s = self.faults, self._trouble_s
        self.disk.slow_sync = plan.slow_sync
        for venue in self.oracle.venues.values():
            venue.refuses = plan.venue_refuses
        for count, happen in (
            (plan.kills, self._arm_kill),
            (plan.stops, self._stop),
            (plan.venue_restarts, self._restart_venue),
            (plan.full_disks, self._fill_disk),
            (plan.failed_syncs, self._fail_sync),
            (plan.clock_steps, self._step_clock),
            (plan.others, lambda: self._place_for(WEB)),
            (plan.strangers, lambda: self._place_for(STRANGER)),
            (plan.bans, self._ban),
        ):
            for _ in range(count):
                self.time.after(self.rng.uniform(0, end_s), happen)

    def _heal(self) -> None:
        self._tell("everything heals")
        self.faults = faults.HEALED
        self.disk.slow_sync = 0.0
        self.disk.fail_next_sync = False
        self._free_disk()
        for name, venue in self.oracle.venues.items():
            self._bring_back(name, self.time.now_s)
            venue.refuses = 0.0
        if self._life is not None:
            self._life.loop.kill_in = None
        for bot in self.bots:
            bot.stop()
        self._is_healed = True

    def _settle(self) -> None:
        """Let the bound pass, or as much of it as anything happens in: the rest is polls."""
        end_s = self.time.now_s + SETTLED_AFTER_S
        while (left_s := end_s - self.time.now_s) > 0:
            is_quiet = self.story.newest_s + QUIET_S <= self.time.now_s
            if is_quiet and self.oracle.has_settled():
                break
            self._pass(min(left_s, LOOK_S))

    def _arm_kill(self) -> None:
        if self._life is not None and not self._is_healed:
            self._life.loop.kill_in = self.rng.randint(1, KILL_WITHIN_STEPS)

    def _stop(self) -> None:
        if self._life is not None:
            self._tell("is asked to stop")
            self._life.stop()

    def _restart_venue(self) -> None:
        name = self.rng.choice(list(self.networks))
        network, venue = self.networks[name], self.oracle.venues[name]
        self._tell("venue {} goes down", name)
        venue.go_down()
        network.break_stream()
        if self.faults.venue_forgets:
            venue.forget_everything()
        self._bring_back(name, self.time.now_s + self.rng.uniform(0.1, 3.0))

    def _bring_back(self, name: str, back_s: float) -> None:
        network, venue = self.networks[name], self.oracle.venues[name]
        if venue.manners.wakes_s:
            # A connection to what knows of no order yet is one that was made since.
            back_s = max(back_s, network.gap_noticed_s + MOMENT_S)
        self.time.at(back_s, venue.come_back)

    def _fill_disk(self) -> None:
        self._tell("the disk is full")
        self.disk.is_full = True
        self.time.after(self.rng.uniform(0.2, 3.0), self._free_disk)

    def _free_disk(self) -> None:
        self.disk.is_full = False
        self.disk.ballast_rows = BALLAST_ROWS

    def _ban(self) -> None:
        name = self.rng.choice(list(self.networks))
        self.networks[name].ban(self.time.now_s + self.rng.uniform(4.0, 15.0))
        if self.rng.random() < 0.5:
            self.time.after(self.rng.uniform(3.0, 5.0), self._arm_kill)

    def _place_for(self, stem: str) -> None:
        venue = self.rng.choice(list(self.oracle.venues.values()))
        if not venue.is_away:
            venue.place_for(stem)

    def _fail_sync(self) -> None:
        self.disk.fail_next_sync = not self._is_healed

    def _step_clock(self) -> None:
        step_s = self.rng.choice(STEPS_S)
        if self.rng.random() < 0.5 and self._life is not None:
            self._set_while_down_s += step_s
            self._arm_kill()
        else:
            self._set_clock(step_s)

    def _set_clock(self, step_s: float) -> None:
        self._tell("the clock is set by {} s", step_s)
        self.clock.set_by_s += step_s

    # Words.

    def _tell(self, what: str, *args: object) -> None:
        self.story.tell(self.time.now_s, "world", what, *args)

    def _pass(self, seconds: float) -> None:
        self.time.run(self.time.now_s + seconds)
        if self._failure is not None:
            raise self._failure

    def _failed(self, error: BaseException) -> Failure:
        if isinstance(error, Violation):
            return Failure(self.seed, error.invariant, error.what, self.story.about(error.ours))
        invariant = "no busy loop" if isinstance(error, BusyLoop) else LIVES
        what = "".join(traceback.format_exception(error)[-8:])
        return Failure(self.seed, invariant, what, self.story.about(""))


def _draw_config(rng: random.Random) -> DaemonConfig:
    """Draw how the daemon is set up: patient or not, and with little room or much."""
    return DaemonConfig(
        request_deadline_s=rng.choice((0.5, 1.5)),
        retry_window_s=rng.choice((0.0, 0.0, 1.0, 5.0)),
        poll_floor_s=rng.choice((2.0, 5.0, 15.0)),
        inbox_max=rng.choice((16, 64, 4096)),
        orders_in_memory_max=rng.choice((0, 0, 2, 1000)),
    )


def _draw_limits(rng: random.Random) -> Limits:
    """Draw what may be open at an executor: in most seeds as much as bots like."""
    return Limits(open_orders_max=rng.choice((None, None, None, 1, 4)))


def _leaves(error: BaseException | None) -> list[BaseException]:
    if error is None:
        return []
    if isinstance(error, BaseExceptionGroup):
        return [leaf for each in error.exceptions for leaf in _leaves(each)]
    return [error]


@contextmanager
def stage() -> Generator[None]:
    """Set what seeds need around them: a daemon that is silent, and sizes that they can reach."""
    logs, dice = structlog.get_config(), random.getstate()
    silent = structlog.make_filtering_bound_logger("critical")
    structlog.configure(wrapper_class=silent, cache_logger_on_first_use=False)
    with ExitStack() as stack:
        stack.callback(random.setstate, dice)
        stack.callback(structlog.configure, **logs)
        for module, size, here in SIZES:
            stack.enter_context(patch.object(module, size, here))
        yield


def live(seed: int) -> Lived:
    """Live through one seed."""
    world = World(seed)
    failure = world.run()
    asked = world.oracle.questions
    return Lived(
        orders=len(world.oracle.fold.orders),
        questions=asked.total(),
        questions_most=max(asked.values(), default=0),
        failure=failure,
    )
