"""
The survey's keeper: starts its process, lets it follow the read model, asks it.

A process that died is started again for the next question; statistics are never worth the daemon.
"""

import asyncio
import sys
from asyncio.subprocess import PIPE, Process
from pathlib import Path

import structlog
from msgspec import Raw

from brokerd.errors import Busy
from brokerd.executor import Clock
from brokerd.stats.marks import SETTLED_AFTER_NS
from brokerd.storage import History
from brokerd.survey.question import Answered, Asked, Question, decode_answered, encode

START_AFTER_S = 5.0
FOLLOW_EVERY_S = 1.0
NEWS_S = 2 * SETTLED_AFTER_NS / 1e9
ANSWER_S_MAX = 60.0
ANSWER_BYTES_MAX = 64 * 1024 * 1024
PATIENCE_S = 10.0
"""How long a question waits for the survey to catch up before its asker is told to come again."""

log = structlog.get_logger(__name__)


class Surveyor:
    """
    One survey process over the read model at `history_path`. `run` keeps it following.

    `survey_path` is where it keeps what it has added up.
    """

    def __init__(
        self, history: History, history_path: Path, survey_path: Path, clock: Clock
    ) -> None:
        self._history = history
        self._paths = history_path, survey_path
        self._clock = clock
        self._process: Process | None = None
        self._lock = asyncio.Lock()
        self._last_id = 0
        self._followed_seq = -1
        self._changed_at_s = 0.0

    async def run(self) -> None:
        """Follow the read model until cancelled, then end the process."""
        try:
            await asyncio.sleep(START_AFTER_S)
            while True:
                if self._has_news():
                    try:
                        await self._tell(None)
                    except Busy as error:
                        log.warning("survey_failed", why=str(error))
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
            if loop.time() >= give_up_s:
                raise Busy(
                    f"statistics are behind: at row {answered.seq} of {question.seq}",
                    reason="survey_behind",
                    hint="they are being made up: ask again in a moment",
                )

    def _has_news(self) -> bool:
        """Whether there are rows to follow, or marks that may have come in since the last ones."""
        now_s = asyncio.get_running_loop().time()
        if self._history.applied_seq != self._followed_seq:
            self._followed_seq, self._changed_at_s = self._history.applied_seq, now_s
        return now_s - self._changed_at_s <= NEWS_S

    async def _tell(self, question: Question | None) -> Answered:
        """Pass one line to the process and return its answer; it is ended if that goes wrong."""
        async with self._lock:
            try:
                async with asyncio.timeout(ANSWER_S_MAX):
                    return await self._exchange(question)
            except (OSError, EOFError, TimeoutError, ValueError) as error:
                await self._end()
                raise Busy(
                    f"statistics failed: {type(error).__name__}",
                    reason="survey_failed",
                    hint="ask again: they are started anew",
                ) from error
            except BaseException:
                # Its answer is still to come, and belongs to nobody.
                await self._end()
                raise

    async def _exchange(self, question: Question | None) -> Answered:
        if self._process is None:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "brokerd.survey", *map(str, self._paths),
                stdin=PIPE, stdout=PIPE, limit=ANSWER_BYTES_MAX, start_new_session=True,
            )  # fmt: skip
        reader, writer = self._process.stdout, self._process.stdin
        assert reader is not None  # noqa: S101 - they are pipes
        assert writer is not None  # noqa: S101
        self._last_id += 1
        asked = Asked(self._last_id, self._clock.now_ns(), question)
        writer.write(encode(asked) + b"\n")
        await writer.drain()
        line = await reader.readuntil()
        answered = decode_answered(line)
        if answered.id != asked.id:
            raise ValueError("an answer to something else")
        return answered

    async def _end(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            if process.returncode is None:
                process.kill()
            await process.wait()
