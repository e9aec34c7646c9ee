"""What Alpaca promises, by its documents and the configuration, and where it is weak."""

from brokerd.executor import Capabilities
from brokerd.terms import OrdType, TimeInForce
from brokerd_adapters.alpaca.config import AlpacaConfig

PROCESSING_BOUND_S = 10.0
QUERY_LAG_S = 1.0

_WEAKNESSES = (
    "the stream has no sequence numbers and no replay: a single lost event shows only by asking",
    "a replace that crosses a fill trades its whole quantity beside that fill, more than was asked",
    "fees are not told with fills: they count as 0 here, and appear in the account's activities",
    "an execution is named by its order and what that had filled after it: no common id is told",
)


def promises(config: AlpacaConfig) -> Capabilities:
    """Return what may be relied on."""
    return Capabilities(
        repeat_id="refused_forever",
        validity_window_s=config.dead_after_s,
        processing_bound_s=PROCESSING_BOUND_S,
        query_lag_s=QUERY_LAG_S,
        query_closed=True,
        amend="new_id",
        times_in_force=frozenset(TimeInForce) - {TimeInForce.GTD},
        ord_types=frozenset(OrdType),
        post_only=False,
        is_paper=config.paper,
    )


def weaknesses(config: AlpacaConfig) -> tuple[str, ...]:
    """Say what it cannot do, a sentence each, beyond what `Capabilities` tell."""
    if config.dead_after_s is None:
        return _WEAKNESSES
    told = (
        f"{config.dead_after_s} s is when a request is taken for dead: configured, not documented"
    )
    return (*_WEAKNESSES, told)
