"""Outcome tables: the first row that fits decides, and what no row fits is in doubt."""

import pytest
from tests.scripted import K, promises

from brokerd.executor import Accepted, Capabilities, InDoubt, NotSent, Refused
from brokerd.outcomes import (
    MESSAGE_CHARS_MAX,
    UNKNOWN_ANSWER,
    NoAnswer,
    OutcomeTable,
    Row,
    Verdict,
)

V, F = Verdict, NoAnswer


def row(verdict: Verdict = V.REFUSED, reason: str = "r", **conditions: object) -> Row:
    return Row(verdict=verdict, reason=reason, source="the venue's page", **conditions)  # type: ignore[arg-type]


TABLE = OutcomeTable(
    [
        row(V.NOT_SENT, "not_connected", fault=F.CONNECT),
        row(V.ABOUT_ORDER, "duplicate", on=K.NEW, code="-2010", message="duplicate order"),
        row(V.REFUSED, "rejected", on=K.NEW, code=("-2010", "-1010")),
        row(V.ABOUT_ORDER, "unknown_order", on=(K.CANCEL, K.REPLACE), code="-2011"),
        row(V.HAPPENED, "done", on=K.CANCEL, status=204),
        row(V.NOT_SENT, "rate_limit", status=429),
        row(V.REFUSED, "forbidden", status=range(401, 404)),
    ]
)


def test_each_verdict_becomes_the_outcome_that_says_the_same() -> None:
    assert isinstance(TABLE.outcome(K.CANCEL, status=204), Accepted)
    refused = TABLE.outcome(K.NEW, status=400, code="-1010", message="no")
    assert isinstance(refused, Refused)
    assert (refused.reason, refused.code, refused.is_about_order) == ("rejected", "-1010", False)
    about = TABLE.outcome(K.CANCEL, status=400, code="-2011")
    assert isinstance(about, Refused)
    assert about.is_about_order
    limited = TABLE.outcome(K.NEW, status=429, retry_after_s=7.5)
    assert isinstance(limited, NotSent)
    assert (limited.reason, limited.retry_after_s) == ("rate_limit", 7.5)
    doubt = TABLE.outcome(K.NEW, status=500, signed_at_ns=17)
    assert isinstance(doubt, InDoubt)
    assert doubt.signed_at_ns == 17


def test_what_no_row_fits_is_in_doubt() -> None:
    for answer in ({"status": 200}, {"code": "-9"}, {"fault": F.TIMEOUT}, {"fault": F.LOST}, {}):
        assert TABLE.judge(K.NEW, **answer) is UNKNOWN_ANSWER  # type: ignore[arg-type]
        assert isinstance(TABLE.outcome(K.NEW, **answer), InDoubt)  # type: ignore[arg-type]


def test_the_first_row_that_fits_decides_so_a_message_can_make_an_exception() -> None:
    assert TABLE.judge(K.NEW, code="-2010", message="Duplicate order sent.").reason == "duplicate"
    assert TABLE.judge(K.NEW, code="-2010", message="Account has insufficient").reason == "rejected"


def test_a_row_is_about_its_operations_only() -> None:
    assert TABLE.judge(K.REPLACE, code="-2011").reason == "unknown_order"
    assert TABLE.judge(K.NEW, code="-2011") is UNKNOWN_ANSWER


@pytest.mark.parametrize(("status", "reason"), [(401, "forbidden"), (403, "forbidden")])
def test_a_range_of_statuses_ends_where_it_says(status: int, reason: str) -> None:
    assert TABLE.judge(K.NEW, status=status).reason == reason
    assert TABLE.judge(K.NEW, status=404) is UNKNOWN_ANSWER


def test_a_row_without_a_fault_never_judges_half_an_answer() -> None:
    """A body that cannot be read may have said anything, whatever status came with it."""
    assert TABLE.judge(K.NEW, fault=F.GARBLED, status=403) is UNKNOWN_ANSWER
    assert TABLE.judge(K.NEW, fault=F.CONNECT).reason == "not_connected"


def test_the_evidence_holds_the_venues_words_and_the_rule_with_its_source() -> None:
    told = TABLE.outcome(K.CANCEL, status=400, code="-2011", message="Unknown\n order  sent.")
    assert told.evidence == (
        'status 400, code -2011, "Unknown order sent."'
        " | rule: cancel, replace, code -2011: about_order (unknown_order), by the venue's page"
    )
    for fault, said in ((F.LOST, "fault lost"), (None, "an answer without content")):
        doubt = TABLE.outcome(K.NEW, fault=fault)
        assert doubt.evidence == f"{said} | rule: {UNKNOWN_ANSWER}"


def test_a_venues_long_message_is_cut() -> None:
    evidence = TABLE.outcome(K.NEW, message="x" * 5000).evidence
    assert f'"{"x" * MESSAGE_CHARS_MAX}..."' in evidence


def test_rows_can_be_listed_for_the_docs() -> None:
    cells = [each.cells for each in TABLE.rows]
    assert cells[0] == ("", "connect", "", "", "not_sent", "not_connected", "the venue's page")
    assert cells[1][:4] == ("new", "", "-2010", "duplicate order")
    assert [each[1] for each in cells[4:]] == ["204", "429", "401-403"]
    assert str(TABLE.rows[1]).startswith('new, code -2010, "duplicate order": about_order')
    assert str(UNKNOWN_ANSWER).startswith("any answer: in_doubt")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (row(), row(code="1")),
        (row(code="1"), row(code="1", message="no")),
        (row(message="dup"), row(message="Duplicate", on=K.NEW)),
        (row(status=range(400, 500)), row(status=429)),
        (row(status=range(400, 500)), row(status=range(410, 420))),
        (row(code=("1", "2")), row(code="2")),
        (row(on=(K.NEW, K.CANCEL)), row(on=K.CANCEL)),
        (row(fault=F.LOST), row(fault=F.LOST, status=200)),
    ],
)
def test_a_row_that_can_never_be_reached_is_refused(before: Row, after: Row) -> None:
    with pytest.raises(ValueError, match="never reached"):
        OutcomeTable([before, after])
    OutcomeTable([after, before])


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (row(status=400), row()),
        (row(status=400), row(status=401)),
        (row(code="1"), row(code=("1", "2"))),
        (row(code="1"), row(status=400)),
        (row(message="dup"), row(message="du")),
        (row(), row(fault=F.LOST)),
        (row(fault=F.LOST), row()),
    ],
)
def test_rows_that_meet_only_in_part_stand_side_by_side(before: Row, after: Row) -> None:
    assert OutcomeTable([before, after]).rows == (before, after)


def test_a_venue_that_promises_everything_has_no_weakness() -> None:
    assert promises().weaknesses == ()


@pytest.mark.parametrize(
    ("lack", "said"),
    [
        ({"validity_window_s": None}, "do not expire"),
        ({"query_closed": False}, "proves nothing"),
        ({"repeat_id": "refused_while_open"}, "only while its order is open"),
        ({"repeat_id": "nothing"}, "is another order"),
        ({"amend": "cancel_replace"}, "cancels first"),
        ({"executions_back_s": 3600.0}, "for a limited time"),
    ],
)
def test_what_a_venue_does_not_promise_is_said_in_a_sentence(
    lack: dict[str, object], said: str
) -> None:
    (sentence,) = promises(**lack).weaknesses
    assert said in sentence


def test_without_an_expiry_no_request_is_ever_surely_too_late() -> None:
    assert promises(validity_window_s=None).final_after_s is None
    promised: Capabilities = promises(processing_bound_s=2.0, query_lag_s=3.0, clock_error_s=0.5)
    assert promised.final_after_s == 6.5
