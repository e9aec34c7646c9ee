"""
`stats.get`: which orders are meant; the survey adds them up.

Formulas live in `stats`, shapes in `scorecard`, the adding up in `survey`.
"""

from msgspec import Raw

from brokerd.executor import Clock
from brokerd.history.model import SqliteHistory
from brokerd.links import Links
from brokerd.params import StatsParams, read_window, several
from brokerd.peer import Peer
from brokerd.storage import Journal
from brokerd.survey.question import Question
from brokerd.survey.surveyor import Surveyor


class Statistician:
    """The method `stats.get` over the survey of the read model."""

    def __init__(
        self,
        surveyor: Surveyor,
        *,
        links: Links,
        journal: Journal,
        history: SqliteHistory,
        clock: Clock,
    ) -> None:
        self._surveyor = surveyor
        self._links = links
        self._journal = journal
        self._history = history
        self._clock = clock

    async def get(self, peer: Peer, params: StatsParams) -> Raw:
        """Measure executions, one row a group."""
        now_ns, seq = self._clock.now_ns(), self._journal.last_seq
        question = read_question(params, seq, now_ns)
        async with peer.turn():
            await self._history.synced(seq)
            self._links.check_known(question.executor, await self._history.executors())
            return await self._surveyor.ask(question)


def read_question(params: StatsParams, seq: int, now_ns: int) -> Question:
    """Return what `stats.get` is asked; raise InvalidParams naming the field at fault."""
    return Question(
        seq=seq,
        now_ns=now_ns,
        window=read_window(params.time, now_ns),
        status=several(params.status),
        ord_status=several(params.ord_status),
        executor=params.executor,
        symbol=params.symbol,
        side=params.side,
        group=params.group,
        group_by=several(params.group_by),
        limit=params.limit,
    )
