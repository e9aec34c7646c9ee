"""The documentation says what the code says, or the check names the page and the command that mends it."""

import re
from pathlib import Path
from typing import get_args

import pytest
from docs import generate
from tests.fix.matrix import read_deviations
from tests.simulation.mutants import MUTANTS

from brokerd.errors import DuplicateClOrdId, OutcomeUnknown
from brokerd.events import AnyEvent
from brokerd.states import TRANSITIONS

EMPTY = "before\n<!-- generated: error-codes -->\n<!-- end -->\nafter\n"


def test_the_generated_parts_of_the_documentation_are_fresh() -> None:
    assert generate.main(["--check"]) == 0


def test_the_pages_hold_every_part_about_orders_errors_and_events() -> None:
    pages = "".join(path.read_text(encoding="utf-8") for path in generate.DOCS.glob("*.md"))
    for name in generate.PARTS:
        assert f"<!-- generated: {name} -->" in pages


def test_a_stale_page_is_named_with_its_cure_and_left_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "page.md"
    page.write_text(EMPTY, encoding="utf-8")
    assert generate.main(["--check"], tmp_path) == 1
    assert (
        capsys.readouterr().err == "page.md is stale: run `make docs` and commit what it changes\n"
    )
    assert page.read_text(encoding="utf-8") == EMPTY


def test_a_renewed_page_is_fresh_and_keeps_what_stands_outside_the_markers(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(EMPTY, encoding="utf-8")
    assert generate.main([], tmp_path) == 0
    text = page.read_text(encoding="utf-8")
    assert text.startswith("before\n<!-- generated: error-codes -->\n")
    assert text.endswith("<!-- end -->\nafter\n")
    assert "| 100 | `duplicate_cl_ord_id` | no |" in text
    assert generate.main(["--check"], tmp_path) == 0


def test_two_parts_of_one_page_do_not_swallow_what_stands_between_them() -> None:
    between = EMPTY + "between\n" + EMPTY.replace("error-codes", "event-list")
    text = generate.renewed(between)
    assert "after\nbetween\nbefore" in text
    assert generate.renewed(text) == text


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (EMPTY.replace("error-codes", "eror-codes"), "no part is named eror-codes; known: "),
        (EMPTY.replace("<!-- end -->", ""), "no <!-- end -->"),
        (EMPTY.replace("error-codes", "Error Codes"), "bad name"),
    ],
)
def test_markers_that_match_no_part_are_an_error(
    text: str, fault: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "page.md").write_text(text, encoding="utf-8")
    assert generate.main([], tmp_path) == 1
    assert fault in capsys.readouterr().err
    assert (tmp_path / "page.md").read_text(encoding="utf-8") == text


def test_the_diagram_has_an_arrow_for_every_change_and_none_for_what_stays() -> None:
    diagram = generate.order_state_diagram()
    arrows = {line.split(":")[0].strip() for line in diagram.splitlines() if " --> " in line}
    changes = {
        f"{status} --> {after}"
        for status, row in TRANSITIONS.items()
        for after in row.values()
        if after is not status
    }
    ends = {f"{status} --> [*]" for status in ("filled", "canceled", "expired", "rejected")}
    assert arrows == changes | ends | {"[*] --> pending_new"}


def test_the_transition_table_shows_contradictions_as_a_dash() -> None:
    rows = generate.order_transitions().splitlines()
    assert rows[0].startswith("| ord_status | status | new | partial_fill | fill | replaced |")
    assert rows[-1].startswith("| **rejected** | CLOSED | rejected | rejected | filled |")
    assert rows[-1].endswith("| - | - | rejected |")
    assert len(rows) == 2 + len(TRANSITIONS)


def test_every_deviation_from_fix_is_on_the_page() -> None:
    listed = generate.fix_deviations()
    for row in read_deviations():
        assert f"| {' | '.join(map(str, row))} |" in listed


def test_every_event_is_on_the_page_with_the_fields_of_its_own() -> None:
    listed = generate.event_list()
    for kind in get_args(AnyEvent):
        assert f"| `{kind.__struct_config__.tag}` |" in listed
    assert "| `replace_requested` | `qty`, `px`, `replace_no` |" in listed
    assert "| `cancel_requested` | `queued`? |" in listed


def test_every_error_says_whether_it_happened() -> None:
    listed = generate.error_codes()
    for kind, answer in ((DuplicateClOrdId, "no"), (OutcomeUnknown, "perhaps")):
        assert f"| {kind.code} | `{kind.name}` | {answer} |" in listed
    assert "| -32603 | `internal_error` | ask | A bug." in listed
    assert "bad_config" not in listed
    assert "`bad_config`" in generate.fatal_errors()


def test_every_test_that_a_guarantee_rests_on_is_there() -> None:
    """A promise whose proof was renamed away would go on being made."""
    page = (generate.DOCS / "guarantees.md").read_text(encoding="utf-8")
    files = set(re.findall(r"tests/test_\w+\.py", page))
    claims = set(re.findall(r"\btest_\w+\b(?!\.py)", page))
    mutants = set(re.findall(r'"([^"]+)"', "".join(re.findall(r"mutants? [^|]*", page))))
    tests = "".join(
        path.read_text(encoding="utf-8") for path in (generate.ROOT / "tests").glob("test_*.py")
    )
    assert {path for path in files if not (generate.ROOT / path).exists()} == set()
    assert {name for name in claims if f"def {name}(" not in tests} == set()
    assert mutants <= {mutant.name for mutant in MUTANTS}
    assert len(files) >= 10
    assert len(mutants) >= 8
