"""The local venue as a subject's other half: faults, cuts and counts over its control's own objects."""

from collections.abc import Callable, Mapping

from tests.conformance.subjects import Subject

from brokerd.executor import Executor
from brokerd_adapters.venue import Step, VenueServer, WireFault, WireFaults

OUTAGE_S = 0.2
LONG_S = 600.0
"""As long as the test likes."""

COMMANDS = ("place", "cancel", "replace", "amend")
FAULTS = ("lose_request", "lose_reply", "unavailable", "fail", "garble", "truncate")


def subject_of(
    venue: VenueServer,
    make: Callable[[], Executor],
    symbol: str,
    *,
    secrets: tuple[str, ...],
    cut: Callable[[], None] | None = None,
) -> Subject:
    """Return an executor at this venue, and all that may be done to the venue; `cut` ends streams."""
    return Subject(
        executor=make(),
        symbol=symbol,
        befall=befall(venue),
        wire_commands=commands(venue),
        cut=cut or venue.switchboard.cut_all,
        heal=venue.come_back,
        another=make,
        skew=skew(venue),
        secrets=secrets,
    )


def befall(venue: VenueServer) -> Mapping[str, Callable[[], None]]:
    """Return what makes each fault befall the next command."""

    def plan(fault: WireFault) -> Callable[[], None]:
        return lambda: venue.gate.misbehave(WireFaults(script=(Step(fault=fault),)))

    return {
        **{fault: plan(WireFault(fault)) for fault in FAULTS},
        "down": lambda: venue.go_down(LONG_S),
    }


def skew(venue: VenueServer) -> Callable[[float], None]:
    """Return what sets the venue's clock ahead by so many seconds."""

    def ahead(seconds: float) -> None:
        venue.clock.skew_s = seconds

    return ahead


def commands(venue: VenueServer) -> Callable[[str], int]:
    """Return what counts the commands that reached the venue and named a client id."""

    def count(venue_cl_ord_id: str) -> int:
        counts = venue.gate.log.by_client().get(venue_cl_ord_id, {})
        return sum(counts.get(each, 0) for each in COMMANDS)

    return count
