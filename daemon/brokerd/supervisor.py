"""
Lifetimes: what is opened first closes last, and one signal ends it all in order.

    journal > history > desk, server > the wait for a signal

The first SIGTERM or SIGINT stops in order; the second kills. Any task that dies takes the daemon
with it: systemd starts another, and the journal knows where this one was.
"""

import asyncio
import gc
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Protocol

import structlog

from brokerd import __version__, systemd
from brokerd.clock import SteadyClock
from brokerd.config.load import Config, ExecutorConfig
from brokerd.desk import Desk
from brokerd.enquiries import Enquiries
from brokerd.errors import ConfigError
from brokerd.events import DaemonStopped
from brokerd.executor import Clock, Executor
from brokerd.guard import building
from brokerd.history.model import Progress, SqliteHistory, open_history
from brokerd.ids import Ids, new_epoch
from brokerd.journal.store import open_journal
from brokerd.logs.drain import LogDrain
from brokerd.logs.setup import EventLog
from brokerd.methods import Methods
from brokerd.overview import count_orders, doubts_of
from brokerd.results import DaemonInfo
from brokerd.server import Server
from brokerd.signals import heeding
from brokerd.socketfile import listening
from brokerd.statistician import Statistician
from brokerd.storage import Journal
from brokerd.survey.surveyor import Surveyor
from brokerd.times import rfc3339
from brokerd.trading import Trading

READY_WAIT_S = 10.0
"""How long a venue that does not come up may hold back READY=1."""

TICK_S = 0.005
REBUILD_STEP_S_MAX = 60
"""How long systemd may wait for a sign from a rebuild of the read model, which has no other bound."""

REBUILD_TOLD_FROM = 50_000
"""Rows below which a rebuild is too short to speak of."""

log = structlog.get_logger(__name__)


class BuildExecutor(Protocol):
    """Makes a configured executor: (name, config, clock) -> Executor. Raises ConfigError."""

    def __call__(self, name: str, config: Config, clock: Clock) -> Executor:
        """Make it; it connects later."""
        ...


Adapters = Mapping[str, BuildExecutor]


async def run(config: Config, adapters: Adapters, clock: Clock, drain: LogDrain) -> None:
    """
    Run the daemon until it is asked to stop.

    Raises ConfigError, JournalError, or the group of whatever killed it.
    """
    steady = SteadyClock(clock)
    executors = build_executors(config, adapters, steady)
    reserve_free_bytes = config.daemon.reserve_free_mb * 1024 * 1024
    journal_path = config.daemon.journal
    async with (
        open_journal(journal_path, steady, reserve_free_bytes=reserve_free_bytes) as journal,
        open_history(history_path(journal_path), journal, progress=_told_progress()) as history,
    ):
        newest = await journal.rows([journal.last_seq])
        known_until_ns = newest[0].entry.event.at_ns if newest else 0
        steady.follow(known_until_ns)
        daemon = Daemon(config, steady, journal, history, drain)
        for name, executor in executors.items():
            daemon.add(config.executors[name], executor, known_until_ns)
        await daemon.run()


def build_executors(config: Config, adapters: Adapters, clock: Clock) -> dict[str, Executor]:
    """Make every configured executor; raises ConfigError before anything is opened."""
    executors: dict[str, Executor] = {}
    for name, each in config.executors.items():
        with building(name, each.adapter):
            executors[name] = executor = adapters[each.adapter](name, config, clock)
            if executor.name != name:
                raise ConfigError(f"executor {name}: its adapter {each.adapter} names it otherwise")
    return executors


def history_path(journal: Path) -> Path:
    """Return where the read model of a journal lies: beside it."""
    return journal.with_name(f"{journal.stem}-history.db")


def survey_path(journal: Path) -> Path:
    """Return where what the survey of a journal has added up lies: beside it."""
    return journal.with_name(f"{journal.stem}-survey.db")


class Daemon:
    """The parts of a running daemon and how they hang together."""

    def __init__(
        self,
        config: Config,
        clock: SteadyClock,
        journal: Journal,
        history: SqliteHistory,
        drain: LogDrain,
    ) -> None:
        self._config = config
        self._clock = clock
        self._journal = journal
        self._history = history
        self._drain = drain
        self._epoch = new_epoch()
        self._started_at_ns = clock.now_ns()
        self._started_ns = clock.monotonic_ns()
        self._log_events = EventLog(drain, config.daemon.log_level)
        self._desk = Desk(config.daemon, clock, journal, history, on_changes=self._log_events)
        self._links, self._engine = self._desk.links, self._desk.engine
        path = config.daemon.journal
        self._surveyor = Surveyor(
            history, history_path(path), survey_path(path), clock, lambda: journal.accepts_orders
        )
        self._asked_to_stop = asyncio.Event()
        self._reason = ""
        self._server: Server | None = None
        self._methods: Methods | None = None

    def add(self, configured: ExecutorConfig, executor: Executor, known_until_ns: int) -> None:
        """Take in an executor and what works for it; the journal knows it up to `known_until_ns`."""
        self._desk.add(configured.adapter, executor, known_until_ns, configured.limits)

    async def run(self) -> None:
        """Come up, serve until asked to stop, go down in order."""
        with heeding(self.stop):
            async with asyncio.TaskGroup() as group:
                tasks = await self._desk.start(group, self._epoch)
                tasks.append(group.create_task(self._surveyor.run(), name="survey"))
                interval_s = systemd.watchdog_interval_s()
                if interval_s is not None:
                    watch = systemd.keep_watch(interval_s, self._clock, self._pending_since_ns)
                    tasks.append(group.create_task(watch, name="watchdog"))
                await self._serve(group)
                for task in tasks:
                    task.cancel()

    async def _serve(self, group: asyncio.TaskGroup) -> None:
        methods = self._made_methods()
        self._methods = methods
        self._server = Server(methods.answer, methods.express, self._config.daemon, group)
        async with listening(self._config.daemon.socket, self._server):
            await self._until_links_settled()
            # What was loaded stays: the collector need not walk it again.
            gc.collect()
            gc.freeze()
            systemd.ready()
            log.info("daemon_ready", socket=str(self._config.daemon.socket), version=__version__)
            await self._asked_to_stop.wait()
            systemd.stopping()
            await self._wind_down()

    def _made_methods(self) -> Methods:
        """Make the methods of the socket."""
        return Methods(
            Trading(
                engine=self._engine,
                links=self._links,
                clock=self._clock,
                ids=Ids(self._epoch),
            ),
            Enquiries(
                engine=self._engine, history=self._history, links=self._links, clock=self._clock
            ),
            Statistician(
                self._surveyor,
                links=self._links,
                journal=self._journal,
                history=self._history,
                clock=self._clock,
            ),
            engine=self._engine,
            history=self._history,
            feed=self._desk.feed,
            links=self._links,
            describe=self._describe,
            stop=lambda: self.stop("asked by a bot"),
        )

    async def _until_links_settled(self) -> None:
        """Wait for every link's first success or failure, but not long, and not through a stop."""
        loop = asyncio.get_running_loop()
        give_up_s = loop.time() + READY_WAIT_S
        waiting = [link.condition.settled for link in self._links]
        while not all(each.is_set() for each in waiting):
            if self._asked_to_stop.is_set() or loop.time() >= give_up_s:
                return
            await asyncio.sleep(TICK_S)

    async def _wind_down(self) -> None:
        """Take nothing new, wait for the answers under way, and put the end on record."""
        self._engine.stop_taking()
        log.info("daemon_stopping", reason=self._reason)
        with suppress(TimeoutError):
            async with asyncio.timeout(self._config.daemon.shutdown_grace_s):
                while self._is_busy():  # noqa: ASYNC110 - many counts, asked once a run
                    await asyncio.sleep(TICK_S)
        if self._server is not None:
            await self._server.drain()
        await self._desk.rest()
        stopped = DaemonStopped(at_ns=self._clock.now_ns(), reason=self._reason)
        await self._engine.note(stopped)
        # The subscriptions that are woken by this last row were so before us, and pass it on.
        await self._desk.feed.wait(self._journal.last_seq - 1)
        await asyncio.sleep(0)

    def _is_busy(self) -> bool:
        return self._engine.backlog > 0 or any(link.dispatch.is_busy for link in self._links)

    def stop(self, reason: str) -> None:
        """Ask for an orderly stop."""
        self._reason = self._reason or reason
        self._asked_to_stop.set()

    def _pending_since_ns(self) -> int | None:
        return self._engine.pending_since_ns

    def _describe(self) -> DaemonInfo:
        config, engine = self._config, self._engine
        return DaemonInfo(
            version=__version__,
            pid=os.getpid(),
            started_at=rfc3339(self._started_at_ns),
            uptime_s=round((self._clock.monotonic_ns() - self._started_ns) / 1e9, 3),
            epoch=self._epoch,
            seq=self._journal.last_seq,
            journal=str(config.daemon.journal),
            socket=str(config.daemon.socket),
            config=str(config.path),
            accepts_orders=self._journal.accepts_orders,
            orders=count_orders(self._links, engine, self._history.orders),
            in_doubt=doubts_of(self._links, engine),
            executors={link.name: link.condition.state for link in self._links},
            connections=len(self._server.connections) if self._server else 0,
            subscribers=self._methods.subscribers if self._methods else 0,
            calls=self._server.calls if self._server else 0,
            batches=engine.batches,
            reports_of_unknown_orders=engine.strangers.unknown,
            log_lines_dropped=self._drain.dropped,
            clock_step_s=round(self._clock.stepped_ns / 1e9, 3),
        )


def _told_progress() -> Progress:
    """Return a callback that tells systemd that a long rebuild goes on, and the log every tenth."""
    told = -1

    def tell(done: int, total: int) -> None:
        nonlocal told
        systemd.still_starting(REBUILD_STEP_S_MAX)
        tenth = 10 * done // max(total, 1)
        if total >= REBUILD_TOLD_FROM and tenth != told:
            told = tenth
            log.info("history_rebuilding", rows_done=done, rows=total)

    return tell
