"""The journal of an older version is read by a newer one: files that older rules wrote."""

import gzip
from pathlib import Path

import pytest
from tests.journal_rows import both

from brokerd.journal.audit import verify

OLD = sorted(Path(__file__).parent.glob("fixtures/journal/*.db.gz"))


@pytest.fixture(params=OLD, ids=lambda path: path.name)
def directory(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A state directory with nothing but the old journal in it."""
    (tmp_path / "journal.db").write_bytes(gzip.decompress(request.param.read_bytes()))
    return tmp_path


async def test_a_journal_of_older_rules_is_good_and_a_start_takes_up_all_of_it(
    directory: Path,
) -> None:
    """What a row says of its order must be what today's rules make of it, or no start is possible."""
    assert verify(directory / "journal.db").is_good
    async with both(directory) as (journal, history):
        assert history.applied_seq == journal.last_seq > 0
