"""
The paper venue's home: its memory on disk on one side, its listener on the other.

Everything that happens at the venue goes out through `commit`: into the log first, then into the
stream. So what was told was written, and a log that fails takes the venue down with it.
"""

from collections.abc import Mapping
from pathlib import Path

from brokerd.errors import VenueUnavailable
from brokerd.executor import Report
from brokerd.terms import Instrument
from brokerd_adapters.paper.config import PaperConfig
from brokerd_adapters.paper.log import PaperLog
from brokerd_adapters.paper.markets import QuoteTick, Tick
from brokerd_adapters.paper.matching import PaperVenue
from brokerd_adapters.paper.misbehaviour import Misbehaviour
from brokerd_adapters.subscription import Subscription

STREAM_MAX = 10_000
"""Reports that may wait in a stream before it is cut."""

LOGGED_CLOSED_MAX = 10_000
"""Closed orders, with their executions, that a restart still knows."""


class VenueHost:
    """Holds the venue, None while it is down; a `log_path` of None keeps nothing on disk."""

    def __init__(self, config: PaperConfig, log_path: Path | None) -> None:
        self.venue: PaperVenue | None = None
        self.misbehaviour = Misbehaviour(config.faults) if config.faults else None
        self._config = config
        self._log = PaperLog(log_path) if log_path else None
        self._subscription: Subscription[Report] | None = None

    def require(self) -> PaperVenue:
        """Return the venue; raises VenueUnavailable while it is down."""
        if self.venue is None:
            raise VenueUnavailable("the paper venue is not connected", reason="not_connected")
        return self.venue

    def revive(self, instruments: Mapping[str, Instrument], now_ns: int) -> None:
        """Make the venue from its log and compact the log; long logs take long."""
        venue = PaperVenue(
            instruments,
            self._config.balances,
            fees=self._config.fees,
            first_id=now_ns // 1_000,
            keep=self._log.add if self._log else None,
        )
        if self._log is not None:
            try:
                venue.restore(self._log.records())
                self._log.begin(venue.remembered(LOGGED_CLOSED_MAX))
            except OSError as error:
                raise VenueUnavailable(
                    f"the paper log {self._log.path}: {error.strerror}", reason="log_unusable"
                ) from None
        self.venue = venue

    def on_tick(self, tick: Tick, now_ns: int) -> None:
        """Let the market move."""
        venue = self.venue
        if venue is None:
            return
        if isinstance(tick, QuoteTick):
            reports = venue.on_quote(
                tick.symbol, tick.bid_px, tick.bid_qty, tick.ask_px, tick.ask_qty, now_ns
            )
        else:
            reports = venue.on_trade(
                tick.symbol, tick.trade_id, tick.px, tick.qty, tick.buyer_is_maker, now_ns
            )
        self.commit(reports)

    def on_time(self, now_ns: int) -> None:
        """Let the time pass."""
        if self.venue is not None:
            self.commit(self.venue.on_time(now_ns))

    def commit(self, reports: tuple[Report, ...]) -> bool:
        """Write down what happened, then tell it; False when it may not have been written."""
        if self._log is not None:
            try:
                self._log.flush()
            except OSError as error:
                # Memory may now be ahead of the log. The log is what counts: `revive` reads it.
                self.venue = None
                self.cut(f"the paper log cannot be written: {error.strerror}")
                return False
        if reports and self._subscription is not None:
            self._publish(self._subscription, reports)
        return True

    def subscribe(self) -> Subscription[Report]:
        """Open the stream; the one before is cut. Raises VenueUnavailable while the venue is down."""
        self.require()
        self.cut("another stream was opened")
        self._subscription = Subscription(STREAM_MAX)
        return self._subscription

    def cut(self, why: str) -> None:
        """End the open stream, if there is one."""
        if self._subscription is not None:
            self._subscription.cut(why)
            self._subscription = None

    def close(self) -> None:
        """End the stream and close the log."""
        self.cut("the executor was closed")
        self.venue = None
        if self._log is not None:
            self._log.close()

    def _publish(self, subscription: Subscription[Report], reports: tuple[Report, ...]) -> None:
        if self.misbehaviour is None:
            for report in reports:
                subscription.put(report)
            return
        carried = self.misbehaviour.streamed(reports)
        for report in carried.items:
            subscription.put(report)
        if carried.breaks:
            self.cut("paper fault: drop_stream")
