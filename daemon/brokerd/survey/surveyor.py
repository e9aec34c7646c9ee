"""
The survey's keeper: starts its process, lets it follow the read model, asks it.

A process that died is started again, after a pause that grows while it fails; statistics are never
worth the daemon.
"""

import asyncio
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable
from math import ceil
from pathlib import Path

import structlog
from msgspec import Raw

from brokerd.errors import Busy, InvalidParams
from brokerd.executor import Clock
from brokerd.stats.marks import SETTLED_AFTER_NS
from brokerd.storage import History
from brokerd.survey.pace import Pace, told
from brokerd.survey.question import Answered, Asked, Question, decode_answered, encode

COMMAND = (sys.executable, "-P", "-m", "brokerd.survey")
"""-P: a module in the directory that the daemon was started in is not run by mistake."""

START_AFTER_S = 5.0
FOLLOW_EVERY_S = 1.0
NEWS_S = 2 * SETTLED_AFTER_NS / 1e9
ANSWER_S_MAX = 60.0
ANSWER_BYTES_MAX = 64 * 1024 * 1024
PATIENCE_S = 10.0
"""How long a question waits for the survey to catch up before its asker is told to come again."""

SAID_BYTES_MAX = 4096
"""How much of the process's last words is logged."""

PAUSE_S_MIN, PAUSE_S_MAX = 1.0, 60.0
"""How long after a failure no process is started: twice as long after each, up to the most."""

log = structlog.get_logger(__name__)


class Surveyor:
    """
    One survey process over the read model at `history_path`. `run` keeps it following.

    `survey_path` is where it keeps what it has added up. While `has_room` says that the disk is
    nearly full it does nothing: what is left belongs to the journal.
    """

    def __init__(
        self,
        history: History,
        history_path: Path,
        survey_path: Path,
        clock: Clock,
        has_room: Callable[[], bool],
    ) -> None:
        self._history = history
        self._paths = history_path, survey_path
        self._clock = clock
        self._has_room = has_room
        self._process: Process | None = None
        self._lock = asyncio.Lock()
        self._pace = Pace()
        self._last_id = 0
        self._followed_seq = -1
        self._changed_at_s = 0.0
        self._pause_s = 0.0
        self._paused_until_s = 0.0
        self._why = ""

    async def run(self) -> None:
        """Follow the read model until cancelled, then end the process."""
        try:
            await asyncio.sleep(START_AFTER_S)
            while True:
                is_behind = False
                if self._has_news():
                    is_behind = await self._follow()
                if not is_behind:
                    await asyncio.sleep(FOLLOW_EVERY_S)
        finally:
            await self._end()

    async def ask(self, question: Question) -> Raw:
        """Return the statistics as JSON; Busy if the survey is behind, or failed."""
        loop = asyncio.get_running_loop()
        give_up_s = loop.time() + PATIENCE_S
        while True:
            answered = await self._tell(question)
            if answered.kind == "done":
                return answered.result
            if answered.kind == "refused":
                raise InvalidParams(
                    answered.why,
                    reason="too_many_groups",
                    field="group_by",
                    hint="ask for a shorter window, fewer orders by a filter, or a lower limit",
                )
            left_s = self._pace.left_s(question.seq)
            how_far = told(answered.seq, question.seq, left_s)
            if loop.time() + (left_s or 0.0) >= give_up_s:
                raise Busy(
                    f"statistics are behind: {answered.why or how_far}",
                    reason="survey_behind",
                    hint="they are being made up: ask again then",
                    seq=answered.seq,
                    of_seq=question.seq,
                    left_s=round(left_s, 1) if left_s is not None else None,
                )

    async def _follow(self) -> bool:
        """Let the process take in what is new; whether there is more."""
        try:
            return (await self._tell(None)).kind == "behind"
        except Busy:  # was logged
            return False

    def _has_news(self) -> bool:
        """Whether there are rows to follow, or marks that may have come in since the last ones."""
        now_s = asyncio.get_running_loop().time()
        if self._history.applied_seq != self._followed_seq:
            self._followed_seq, self._changed_at_s = self._history.applied_seq, now_s
        return now_s - self._changed_at_s <= NEWS_S

    async def _tell(self, question: Question | None) -> Answered:
        """Pass one line to the process and return its answer; it is ended if that goes wrong."""
        if not self._has_room():
            raise Busy(
                "statistics wait: the journal's disk is nearly full",
                reason="survey_disk_full",
                hint="free space on it; they go on by themselves",
            )
        async with self._lock:
            now_s = asyncio.get_running_loop().time
            if now_s() < self._paused_until_s:
                raise self._busy(now_s())
            try:
                async with asyncio.timeout(ANSWER_S_MAX):
                    answered = await self._exchange(question)
            except (OSError, EOFError, TimeoutError, ValueError, _Failed) as error:
                await self._end()
                self._pause(str(error) if isinstance(error, _Failed) else type(error).__name__)
                raise self._busy(now_s()) from error
            except BaseException:
                # Its answer is still to come, and belongs to nobody.
                await self._end()
                raise
            self._pause_s = 0.0
            self._pace.note(answered.seq, now_s(), is_done=answered.kind != "behind")
            return answered

    def _pause(self, why: str) -> None:
        self._why = why
        self._pause_s = min(max(2 * self._pause_s, PAUSE_S_MIN), PAUSE_S_MAX)
        self._paused_until_s = asyncio.get_running_loop().time() + self._pause_s
        log.warning("survey_failed", why=why, again_in_s=self._pause_s)

    def _busy(self, now_s: float) -> Busy:
        again_s = max(ceil(self._paused_until_s - now_s), 1)
        return Busy(
            f"statistics failed: {self._why}",
            reason="survey_failed",
            hint=f"they are started anew: ask again in {again_s} s",
        )

    async def _exchange(self, question: Question | None) -> Answered:
        process = await self._running()
        reader, writer = process.stdout, process.stdin
        assert reader is not None  # noqa: S101 - they are pipes
        assert writer is not None  # noqa: S101
        self._last_id += 1
        asked = Asked(self._last_id, self._clock.now_ns(), question)
        writer.write(encode(asked) + b"\n")
        await writer.drain()
        answered = decode_answered(await reader.readuntil())
        if answered.kind == "failed":
            raise _Failed(answered.why)
        if answered.id != asked.id:
            raise ValueError("an answer to something else")
        return answered

    async def _running(self) -> Process:
        """Return the process; one that has ended since the last answer makes way for another."""
        if self._process is not None and self._process.returncode is not None:
            await self._end()
        if self._process is None:
            self._process = await asyncio.create_subprocess_exec(
                *COMMAND, *map(str, self._paths),
                stdin=PIPE, stdout=PIPE, stderr=PIPE, limit=ANSWER_BYTES_MAX, start_new_session=True,
            )  # fmt: skip
        return self._process

    async def _end(self) -> None:
        """End the process. What it said on its standard error, a traceback as a rule, is one log line."""
        process, self._process = self._process, None
        if process is None:
            return
        if process.returncode is None:
            process.kill()
        await process.wait()
        assert process.stderr is not None  # noqa: S101 - it is a pipe
        said = await process.stderr.read()
        if said:
            log.warning("survey_ended", said=said[-SAID_BYTES_MAX:].decode(errors="replace"))


class _Failed(Exception):
    """The process said why it ends."""
