"""What the paper venue's answers prove about a request: its outcome table."""

from brokerd.events import RequestKind
from brokerd.outcomes import NoAnswer, OutcomeTable, Row, Verdict

_DOOR = "the paper venue's rules: what is refused at the door leaves no trace"

OUTCOMES = OutcomeTable(
    (
        Row(
            verdict=Verdict.NOT_SENT,
            fault=NoAnswer.CONNECT,
            reason="venue_unavailable",
            source="the paper venue: while it is down it takes nothing",
        ),
        Row(
            verdict=Verdict.IN_DOUBT,
            fault=NoAnswer.LOST,
            reason="no_reply",
            source="the paper venue: a lost request and a lost reply look the same",
        ),
        Row(
            verdict=Verdict.ABOUT_ORDER,
            on=RequestKind.NEW,
            code="duplicate_client_id",
            reason="duplicate_client_id",
            source="the paper venue's rules: a client id that was used is an order's that is there",
        ),
        Row(
            verdict=Verdict.ABOUT_ORDER,
            on=(RequestKind.CANCEL, RequestKind.REPLACE),
            code=("unknown_order", "order_done"),
            reason="unknown_order",
            source="the paper venue's rules: the order may be done, or have been forgotten",
        ),
        Row(verdict=Verdict.REFUSED, reason="refused", source=_DOOR),
    )
)
