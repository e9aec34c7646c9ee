"""What Binance Spot promises, by its documents and the configuration, and where it is weak."""

from brokerd.executor import Capabilities
from brokerd_adapters.binance.config import BinanceConfig
from brokerd_adapters.binance.requests import TIMES_IN_FORCE

CLOCK_ERROR_S = 0.5
"""How well the venue's time must be known to sign: it takes what is 1 s ahead at most."""

TRADES_BACK_S = 7 * 86_400.0
"""How far back executions are looked for by symbol; older ones are found with their orders."""

WEAKNESSES = (
    "the price of an order with fills cannot be replaced: one more fill on the way would come on top",
    "an order that others cancel or amend before we heard of it loses our id: only events find it",
)


def promises(config: BinanceConfig) -> Capabilities:
    """Return what may be relied on."""
    return Capabilities(
        repeat_id="refused_while_open",
        validity_window_s=config.recv_window_ms / 1_000,
        processing_bound_s=config.processing_bound_s,
        query_lag_s=config.query_lag_s,
        clock_error_s=CLOCK_ERROR_S,
        query_closed=True,
        amend="cancel_replace",
        times_in_force=frozenset(TIMES_IN_FORCE),
        exec_id_scope="symbol",
        executions_back_s=TRADES_BACK_S,
    )
