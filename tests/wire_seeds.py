"""
Seeds on a real wire: the production desk and a real adapter, against a misbehaving `brokerd-venue`.

    python -m tests.wire_seeds --dialect binance --seeds 100

Where the simulator proves the rules on virtual time, this proves what is between them and a venue:
signing, roads, decoding, outcome tables, streams, all over HTTP and WebSocket. A seed draws how
badly the wire behaves; the desk is killed once or twice on the way, its disk losing what was not
synced; then all heals and must settle. The venue's own record is the judge. What a venue promises
about time is shortened to fit the faults, so that a doubt ends in a second and not in a quarter of
a minute.
"""

import argparse
import asyncio
import random
import sys
import time
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from decimal import Decimal
from typing import Any

import msgspec
import uvloop
from msgspec.structs import replace
from tests.conformance import subject_alpaca, subject_binance
from tests.oracles import REPLACED
from tests.simulation.bots import read_replace, read_submit
from tests.simulation.disk import Disk, MemoryHistory, MemoryJournal

from brokerd.blotter import Blotter
from brokerd.clock import SteadyClock, SystemClock
from brokerd.config.load import DaemonConfig
from brokerd.desk import Desk
from brokerd.errors import BrokerdError
from brokerd.events import OrderSubmitted, RequestKind, RequestRetried
from brokerd.executor import Executor, LinkState
from brokerd.ids import Ids, new_epoch
from brokerd.params import OrderParams, TimedParams
from brokerd.secrets import Secret
from brokerd.trading import Trading
from brokerd_adapters.venue import Step, VenueConfig, VenueServer, WireFault, WireFaults

DIALECTS = ("alpaca", "binance")
SYMBOLS = {"alpaca": "BTC/USD", "binance": "BTCUSDT"}
LATE_S = 0.2
WINDOW_S = 0.5
"""How long a request may be on its way; what the adapters are told of it is a little more."""

DEADLINE_S, PATIENT_S = 0.4, 10.0
"""How long a life waits for an answer while things go wrong, and once all has healed."""

ACTS = (6, 18)
"""How much each bot does in a life, at the least and at the most: so much however slow the machine."""

STARTING_S_MAX = 3.0
SETTLE_S_MAX = 120.0
BOTS = 2
AT_ONCE = 8

CONFIG = DaemonConfig(retry_window_s=0.3, poll_floor_s=0.5, orders_in_memory_max=5)
FAULTS = (
    *("lose_request", "lose_reply", "late", "hold", "unavailable", "fail", "garble", "truncate"),
    *("lose_answer", "repeat_report", "reorder_report", "drop_report", "drop_stream", "down"),
)
RARE = {"down": 0.1, "drop_stream": 0.2}


def draw_faults(chance: random.Random, seed: int) -> WireFaults:
    """Draw a seed's faults: each is on or off, and if on, rare or common."""
    intensity = chance.choice((0.05, 0.2, 0.5))
    rates = {
        name: chance.random() * intensity * RARE.get(name, 1.0)
        for name in FAULTS
        if chance.random() < 0.5
    }
    terms = Step(fault=WireFault.NONE, delay_s=LATE_S, down_s=LATE_S, retry_after_s=0)
    lost = chance.choice(("break", "silence"))
    return WireFaults(seed=seed, terms=terms, lost=lost, **rates)


class WireSeed:
    """One seed of one dialect. `run` raises AssertionError for a promise that was broken."""

    def __init__(self, dialect: str, seed: int) -> None:
        self.dialect = dialect
        self.symbol = SYMBOLS[dialect]
        self.chance = random.Random(f"{dialect}/{seed}")
        self.seed = seed
        self.disk = Disk(self.chance, lambda _: None)
        self.asked: dict[str, dict[str, Any]] = {}
        self.acknowledged: dict[str, int] = {}
        self.counts: Counter[str] = Counter()

    async def run(self) -> Counter[str]:
        """Trade under faults through two or three lives, heal, settle, and compare."""
        config = VenueConfig(
            dialect=self.dialect,  # type: ignore[arg-type]
            seed=self.seed,
            key="wire-key",
            secret=Secret("wire-secret"),
        )
        async with VenueServer(config) as venue:
            for _ in range(self.chance.choice((1, 2))):
                async with self._life(self._executor(venue)) as trading:
                    venue.gate.misbehave(draw_faults(self.chance, self.seed))
                    await self._trade(trading)
                self.counts["rows_lost"] += self.disk.crash()
            venue.gate.misbehave(None)
            async with self._life(self._executor(venue), PATIENT_S) as trading:
                await self._settle(trading)
            self._judge(venue)
        return self.counts

    def _executor(self, venue: VenueServer) -> Executor:
        if self.dialect == "alpaca":
            made: Any = subject_alpaca.executor_at(venue, dead_after_s=WINDOW_S)
        else:
            made = subject_binance.executor(venue, recv_window_ms=WINDOW_S * 1_000)
        made.capabilities = replace(
            made.capabilities, processing_bound_s=LATE_S + 0.1, query_lag_s=0.0
        )
        executor: Executor = made
        return executor

    @asynccontextmanager
    async def _life(
        self, executor: Executor, deadline_s: float = DEADLINE_S
    ) -> AsyncGenerator[Trading]:
        """One run of the desk, killed at the end: what is under way then is lost."""
        journal, clock = MemoryJournal(self.disk), SteadyClock(SystemClock())
        history, epoch = MemoryHistory(journal), new_epoch()
        newest_ns = self.disk.rows[-1].entry.event.at_ns if self.disk.rows else 0
        config = replace(CONFIG, request_deadline_s=deadline_s)
        desk = Desk(config, clock, journal, history, on_changes=lambda _changes, _bodies: None)
        desk.add(self.dialect, executor, newest_ns)
        ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        async def live() -> None:
            async with asyncio.TaskGroup() as group:
                await desk.start(group, epoch)
                ready.set_result(None)

        async with asyncio.TaskGroup() as group:
            life = group.create_task(live(), name="life")
            await ready
            try:
                yield Trading(
                    engine=desk.engine,
                    links=desk.links,
                    clock=clock,
                    ids=Ids(epoch),
                )
            finally:
                journal.is_over = True
                life.cancel()

    async def _trade(self, trading: Trading) -> None:
        """Begin when the executor is there, if the faults let it come; they may still end it."""
        with suppress(TimeoutError):
            async with asyncio.timeout(STARTING_S_MAX):
                while trading._links.choose(None).condition.state is LinkState.STARTING:  # noqa: ASYNC110 - it is no event
                    await asyncio.sleep(0.005)
        acts = self.chance.randint(*ACTS)
        async with asyncio.TaskGroup() as group:
            for number in range(BOTS):
                group.create_task(self._bot(trading, number, acts), name=f"bot-{number}")

    async def _bot(self, trading: Trading, number: int, acts: int) -> None:
        for _ in range(acts):
            with suppress(BrokerdError):
                await self._act(trading, number)
            await asyncio.sleep(self.chance.uniform(0, 0.04))

    async def _act(self, trading: Trading, number: int) -> None:
        dice = self.chance.random()
        known = list(self.asked)
        if dice < 0.6 or not known:
            await self._submit(trading, self._new(number))
        elif dice < 0.7:
            await self._submit(trading, self.chance.choice(known))
        elif dice < 0.85:
            await trading.cancel(None, OrderParams(self.chance.choice(known)))  # type: ignore[arg-type]
        else:
            change = {
                "cl_ord_id": self.chance.choice(known),
                "qty": f"0.0{self.chance.randint(1, 9)}",
            }
            await trading.replace(None, read_replace(msgspec.json.encode(change)))  # type: ignore[arg-type]

    def _new(self, number: int) -> str:
        cl_ord_id = f"s{self.seed}b{number}-{len(self.asked)}"
        terms = {
            "cl_ord_id": cl_ord_id,
            "symbol": self.symbol,
            "side": self.chance.choice(("buy", "sell")),
            "qty": f"0.0{self.chance.randint(1, 9)}",
            "ord_type": "market",
            "wait": self.chance.choice(("journal", "venue")),
            "timeout_s": 0.2,
        }
        if self.chance.random() < 0.7:
            px = {"buy": "20000", "sell": "60000"}[terms["side"]]
            terms |= {"ord_type": "limit", "px": px, "time_in_force": "gtc"}
        self.asked[cl_ord_id] = terms
        return cl_ord_id

    async def _submit(self, trading: Trading, cl_ord_id: str) -> None:
        params = read_submit(msgspec.json.encode(self.asked[cl_ord_id]))
        order = await trading.submit(None, params)  # type: ignore[arg-type]
        self.acknowledged[cl_ord_id] = order.seq

    async def _settle(self, trading: Trading) -> None:
        """Repeat what went unanswered, cancel what works, and wait until nothing is in doubt."""
        engine = trading._engine
        give_up_s = time.monotonic() + SETTLE_S_MAX
        unanswered = [each for each in self.asked if each not in self.acknowledged]
        while True:
            for cl_ord_id in unanswered:
                with suppress(BrokerdError):
                    await self._submit(trading, cl_ord_id)
            unanswered = [each for each in unanswered if each not in self.acknowledged]
            await trading.cancel_all(None, TimedParams())  # type: ignore[arg-type]
            left = engine.blotter.unsettled(self.dialect)
            if not left and not unanswered:
                return
            told = [(order.cl_ord_id, order.shown_status, order.request) for order in left[:3]]
            assert time.monotonic() < give_up_s, f"{len(left)} do not settle: {told}"
            await asyncio.sleep(0.1)

    def _judge(self, venue: VenueServer) -> None:
        """Hold the journal against the venue's own record."""
        blotter, sent = Blotter(), Counter[str]()
        ours: dict[str, str] = {}
        for row in self.disk.rows:
            blotter.fold(row.seq, row.entry.event)
            event = row.entry.event
            if isinstance(event, OrderSubmitted):
                ours[event.venue_cl_ord_id] = event.cl_ord_id
                sent[event.cl_ord_id] += 1
            elif isinstance(event, RequestRetried) and event.request is RequestKind.NEW:
                sent[event.cl_ord_id] += 1
        assert self.acknowledged.keys() <= sent.keys(), "an acknowledged order is gone"
        filled: Counter[str] = Counter()
        seen: set[str] = set()
        for order in venue.exchange.ever:
            first_id = order.client_order_ids[0]
            assert first_id not in seen, f"{first_id} was placed twice"
            seen.add(first_id)
            root = REPLACED.sub("", first_id)
            assert root in ours, f"{root} was sent before it was journalled"
            filled[ours[root]] += order.cum_qty  # type: ignore[assignment]
            assert not order.is_open, f"{first_id} still works at the venue"
        for venue_cl_ord_id, requests in venue.gate.log.by_client().items():
            if venue_cl_ord_id in ours:
                allowed = sent[ours[venue_cl_ord_id]]
                assert requests["place"] <= allowed, (
                    f"{venue_cl_ord_id}: {requests}, {allowed} on record"
                )
        for cl_ord_id in sent:
            order = blotter.get(cl_ord_id)
            assert order is not None
            assert order.is_settled, f"{cl_ord_id} is {order.shown_status}"
            at_venue = filled.get(cl_ord_id, Decimal(0))
            assert order.cum_qty == at_venue, (
                f"{cl_ord_id}: {order.cum_qty}, {at_venue} at the venue"
            )
        self.counts["orders"] += len(sent)
        self.counts["fills"] += sum(bool(each) for each in filled.values())
        self.counts["doubts"] += sum(order.doubts for order in blotter)


async def run_seeds(dialect: str, seeds: list[int]) -> tuple[Counter[str], dict[int, str]]:
    """Run many seeds, some at a time; return what happened in all, and what failed by seed."""
    places, totals, failed = asyncio.Semaphore(AT_ONCE), Counter[str](), dict[int, str]()

    async def one(seed: int) -> None:
        async with places:
            try:
                totals.update(await WireSeed(dialect, seed).run())
            except* AssertionError as group:
                failed[seed] = str(group.exceptions[0])

    async with asyncio.TaskGroup() as group:
        for seed in seeds:
            group.create_task(one(seed), name=f"seed-{seed}")
    return totals, failed


def main() -> None:
    parser = argparse.ArgumentParser(description="seeds over a real wire")
    parser.add_argument("--dialect", choices=DIALECTS, default="binance")
    parser.add_argument("--seeds", type=int, default=100)
    parser.add_argument("--from", type=int, default=0, dest="first")
    options = parser.parse_args()
    began_s = time.monotonic()
    seeds = list(range(options.first, options.first + options.seeds))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        totals, failed = runner.run(run_seeds(options.dialect, seeds))
    sys.stdout.write(f"{dict(totals)} in {time.monotonic() - began_s:.1f} s\n")
    for seed, why in sorted(failed.items()):
        again = f"python -m tests.wire_seeds --dialect {options.dialect} --from {seed} --seeds 1"
        sys.stdout.write(f"seed {seed}: {why}\n    {again}\n")
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
