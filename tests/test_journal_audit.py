"""Whatever is done to a journal behind our back is found, and the first bad row is named."""

import io
import os
import sqlite3
from pathlib import Path

import msgspec
import pytest
from tests.journal_rows import Story, a_day, acknowledged, canceled, opened, submit, traded, write

from brokerd.errors import ConfigError, JournalError
from brokerd.events import After, Entry, OrderAdopted, OrderSubmitted, encode_entry
from brokerd.journal.audit import export, verify
from brokerd.journal.schema import genesis, link


@pytest.fixture
async def path(tmp_path: Path) -> Path:
    async with opened(tmp_path / "j.db") as journal:
        await write(journal, a_day())
    return tmp_path / "j.db"


def adopted(no: int) -> OrderAdopted:
    """The order of `submit(no)`, placed by somebody else."""
    told = {each: getattr(submit(no), each) for each in OrderSubmitted.__struct_fields__}
    return OrderAdopted(venue_order_id=f"v{no}", **told)


def tamper(path: Path, *statements: str) -> None:
    """Change rows the way somebody with a SQL prompt and bad intent would, triggers and all."""
    with sqlite3.connect(path) as db:
        made = db.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'").fetchall()
        for name, _ in made:
            db.execute(f"DROP TRIGGER {name}")
        for statement in statements:
            db.execute(statement)
        for _, sql in made:
            db.execute(sql)
    db.close()


def rehash(path: Path, seq: int, entry: Entry) -> None:
    """Put another entry into row `seq` and make every hash after it fit again."""
    with sqlite3.connect(path) as db:
        (journal_id,) = db.execute("SELECT journal_id FROM meta").fetchone()
        rows = db.execute("SELECT seq, CAST(body AS BLOB) FROM journal ORDER BY seq").fetchall()
    db.close()
    head, changes = genesis(journal_id), []
    for at, old in rows:
        body = encode_entry(entry) if at == seq else old
        head = link(head, at, body)
        text = body.decode().replace("'", "''")
        changes.append(
            f"UPDATE journal SET body = '{text}', hash = x'{head.hex()}' WHERE seq = {at}"
        )
    tamper(path, *changes)


def test_an_untouched_journal_is_good(path: Path) -> None:
    told: list[tuple[int, int]] = []
    verdict = verify(path, lambda done, total: told.append((done, total)))
    total = len(a_day().entries)
    assert (verdict.is_good, verdict.rows, verdict.bad_seq, verdict.why) == (
        True,
        total,
        None,
        None,
    )
    assert told[-1] == (total, total)
    with sqlite3.connect(path) as db:
        (digest,) = db.execute("SELECT hash FROM journal ORDER BY seq DESC LIMIT 1").fetchone()
    db.close()
    assert verdict.head == digest.hex()


BEHIND_OUR_BACK = {
    "a changed body": (
        ["UPDATE journal SET body = replace(body, 'bot-1', 'bot-2') WHERE seq = 6"], 6, "hash"
    ),
    "one flipped bit of a body": (
        ["UPDATE journal SET body = replace(body, 'x1', 'y1') WHERE seq = 7"], 7, "hash"
    ),
    "a changed hash": (["UPDATE journal SET hash = zeroblob(32) WHERE seq = 4"], 4, "hash"),
    "a missing row": (["DELETE FROM journal WHERE seq = 5"], 5, "missing"),
    "a missing first row": (["DELETE FROM journal WHERE seq = 1"], 1, "missing"),
    "a row before the first": (
        ["INSERT INTO journal SELECT 0, at_ns, event, NULL, body, hash FROM journal WHERE seq = 1"],
        0,
        "before the first",
    ),
    "two rows swapped": (
        [
            "UPDATE journal SET seq = 900 WHERE seq = 6",
            "UPDATE journal SET seq = 6 WHERE seq = 7",
            "UPDATE journal SET seq = 7 WHERE seq = 900",
        ],
        6,
        "hash",
    ),
    "a changed at_ns": (["UPDATE journal SET at_ns = at_ns + 1 WHERE seq = 3"], 3, "columns"),
    "a changed event": (
        ["UPDATE journal SET event = 'order_expired' WHERE seq = 8"], 8, "columns"
    ),
    "a changed cl_ord_id": (
        ["UPDATE journal SET cl_ord_id = 'bot-9' WHERE seq = 9"], 9, "columns"
    ),
    "another journal's id": (["UPDATE meta SET journal_id = 'ff'"], 1, "hash"),
    "a body that is no text": (["UPDATE journal SET body = x'fffe00' WHERE seq = 2"], 2, "hash"),
}  # fmt: skip


@pytest.mark.parametrize("what", BEHIND_OUR_BACK)
def test_the_first_bad_row_is_named(path: Path, what: str) -> None:
    statements, bad_seq, why = BEHIND_OUR_BACK[what]
    tamper(path, *statements)
    verdict = verify(path)
    assert (verdict.bad_seq, verdict.rows) == (bad_seq, max(bad_seq - 1, 0))
    assert why in str(verdict.why)
    assert not verdict.is_good


def test_a_lie_about_what_an_order_was_after_is_found_though_every_hash_fits(path: Path) -> None:
    entry = a_day().entries[6]
    assert entry.after is not None
    lie = msgspec.structs.replace(entry.after, ord_status="filled")
    rehash(path, 7, Entry(entry.event, lie))
    verdict = verify(path)
    assert verdict.bad_seq == 7
    assert "after it" in str(verdict.why)


def test_an_event_of_an_order_that_was_never_submitted_is_found(path: Path) -> None:
    rehash(
        path, 13, Entry(canceled(77), After("canceled", *[a_day().orders["bot-1"].leaves_qty] * 2))
    )
    tamper(path, "UPDATE journal SET event = 'order_canceled', cl_ord_id = 'bot-77',"
                 " at_ns = (SELECT at_ns FROM journal WHERE seq = 1) WHERE seq = 13")  # fmt: skip
    verdict = verify(path)
    assert verdict.bad_seq == 13
    assert "never submitted" in str(verdict.why)


def test_a_contradiction_of_the_state_machine_is_found(path: Path) -> None:
    """Row 11 says that a rejected order was canceled: no such row in the table."""
    rehash(path, 11, Entry(canceled(3), a_day().entries[10].after))
    tamper(path, "UPDATE journal SET event = 'order_canceled', cl_ord_id = 'bot-3',"
                 " at_ns = (SELECT at_ns FROM journal WHERE seq = 1) WHERE seq = 11")  # fmt: skip
    verdict = verify(path)
    assert verdict.bad_seq == 11
    assert "contradicts" in str(verdict.why)


def test_a_dropped_trigger_is_found(path: Path) -> None:
    with sqlite3.connect(path) as db:
        db.execute("DROP TRIGGER journal_no_delete")
    db.close()
    assert "journal_no_delete" in str(verify(path).why)


def test_flipped_bits_of_the_file_are_found_wherever_they_are_in_a_row(path: Path) -> None:
    """Bits of the file itself, as a bad disk flips them: in no byte of any row does one pass."""
    whole = path.read_bytes()
    for body in map(encode_entry, a_day().entries):
        at = whole.index(body)
        for offset in (0, len(body) // 2, len(body) - 1, len(body) + 31):
            broken = bytearray(whole)
            broken[at + offset] ^= 0x10
            path.write_bytes(broken)
            assert not verify(path).is_good


@pytest.mark.parametrize("keep_pages", [1, 2, 5])
async def test_a_truncated_file_is_found(tmp_path: Path, keep_pages: int) -> None:
    async with opened(tmp_path / "j.db") as journal:
        for _ in range(10):
            entry = a_day().entries[0]
            await journal.append(journal.last_seq + 1, [entry] * 100)
    os.truncate(tmp_path / "j.db", 4096 * keep_pages)
    verdict = verify(tmp_path / "j.db")
    assert verdict.bad_seq is not None
    assert "damaged" in str(verdict.why)
    with pytest.raises((JournalError, ConfigError), match=r"damaged|cannot be opened"):
        async with opened(tmp_path / "j.db"):
            pass


def test_an_index_that_lost_a_row_is_found(path: Path) -> None:
    """Uniqueness hangs on the index: rows alone may be good while it is not."""
    with sqlite3.connect(path) as db:
        (root,) = db.execute("SELECT rootpage FROM sqlite_master WHERE type = 'index'").fetchone()
    db.close()
    whole = bytearray(path.read_bytes())
    at = whole.index(b"bot-3", 4096 * (root - 1), 4096 * root)
    whole[at + 4] = ord("9")
    path.write_bytes(whole)
    verdict = verify(path)
    assert verdict.bad_seq is None
    assert "the file is not" in str(verdict.why)


@pytest.mark.parametrize("first", [submit(1), adopted(1)], ids=["submitted", "adopted"])
async def test_a_fill_long_after_its_order_was_settled_verifies(
    tmp_path: Path, first: OrderSubmitted
) -> None:
    """The order is no longer in memory by then, and is replayed from its first row."""
    story = Story()
    for event in (first, acknowledged(1), canceled(1)):
        story.tell(event)
    for _ in range(2_500):
        story.tell(a_day().entries[0].event)
    story.tell(traded(1, "late"))
    story.tell(traded(1, "later"))
    async with opened(tmp_path / "j.db") as journal:
        await write(journal, story, batch=1_000)
    verdict = verify(tmp_path / "j.db")
    assert verdict.why is None
    assert verdict.rows == 2_505


async def test_a_journal_is_verified_while_its_daemon_writes(tmp_path: Path) -> None:
    async with opened(tmp_path / "j.db") as journal:
        await write(journal, a_day())
        assert verify(tmp_path / "j.db").rows == journal.last_seq
        await journal.append(journal.last_seq + 1, a_day().entries[:1])
        assert verify(tmp_path / "j.db").rows == journal.last_seq


def test_export_writes_one_line_a_row(path: Path) -> None:
    out = io.BytesIO()
    assert export(path, out) == len(a_day().entries)
    lines = [msgspec.json.decode(line) for line in out.getvalue().splitlines()]
    assert [line["seq"] for line in lines] == list(range(1, len(lines) + 1))
    assert lines[-1]["hash"] == verify(path).head
    assert lines[6]["event"]["event"] == "order_traded"
    assert lines[6]["after"]["ord_status"] == "partially_filled"
    assert "after" not in lines[0]


def test_export_goes_on_after_a_seq(path: Path) -> None:
    out = io.BytesIO()
    total = len(a_day().entries)
    assert export(path, out, after_seq=10) == total - 10
    assert msgspec.json.decode(out.getvalue().splitlines()[0])["seq"] == 11


def test_no_journal_is_the_operators_mistake(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no journal at"):
        verify(tmp_path / "j.db")
    (tmp_path / "j.db").touch()
    with pytest.raises(ConfigError, match="is empty"):
        verify(tmp_path / "j.db")


def test_the_command_line_pays_for_no_event_loop() -> None:
    import subprocess
    import sys

    code = "import brokerd.journal.audit, sys; print('asyncio' in sys.modules, 'aiosqlite' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]
