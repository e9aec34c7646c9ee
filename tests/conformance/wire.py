"""The local venue as a subject's other half: faults, cuts and counts over its control's own objects."""

from collections.abc import Callable, Mapping

from brokerd_adapters.venue import Step, VenueServer, WireFault, WireFaults

OUTAGE_S = 0.3


def befall(venue: VenueServer) -> Mapping[str, Callable[[], None]]:
    """Return what makes each fault befall the next command."""

    def plan(fault: WireFault) -> Callable[[], None]:
        return lambda: venue.gate.misbehave(WireFaults(script=(Step(fault=fault),)))

    faults = ("lose_request", "lose_reply", "fail", "garble", "truncate")
    return {
        **{fault: plan(WireFault(fault)) for fault in faults},
        "down": lambda: venue.go_down(OUTAGE_S),
    }


def commands(venue: VenueServer) -> Callable[[str], int]:
    """Return what counts the placing requests that named a client id."""
    return lambda venue_cl_ord_id: venue.gate.log.by_client()[venue_cl_ord_id]["place"]
