"""The ledger around the shared one: passes everything on, and goes on where a limit allows it.

While the shared ledger is away, what `Limit(on_unavailable=allow_local(…))` allows is answered from a ledger in memory,
and noted in a journal. The shared ledger is asked again every `REJOIN` seconds, by one call at a time; when it answers,
the journal is charged to it, in the order in which it came, and then everything is passed on again. Charging is
idempotent by reservation, so a charge whose answer is lost is sent again.

What it does not do: a process that dies before has lost its journal, and at most what its limits allowed it. A period
that ended meanwhile is not charged any more; the present one is. A session that is carried on by another process before
its journal is charged counts twice what is in both: its checkpoint knew it already.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Generator, Sequence
from contextlib import suppress
from typing import Any, Final, NamedTuple, TypeAlias

from langgraph_guard.backends.local.journal import Sent, corrections
from langgraph_guard.backends.local.outage import NEVER, Outage, goes_on
from langgraph_guard.backends.protocols import BudgetLedger, Clock
from langgraph_guard.errors import BudgetUnavailable, GuardError
from langgraph_guard.events import emit
from langgraph_guard.flow import arun, run
from langgraph_guard.policies.ledger import Closed, Command, Denied, Release, Reply, Reserve, Settle, Wait

REJOIN: Final = 5.0
"""Seconds for which a ledger that did not answer is not asked again: each question costs a call its time-out."""

BATCH: Final = 20
"""Entries of the journal that are charged at once. Those of a batch that fails midway are sent again."""

_log = logging.getLogger(__name__)


class Ask(NamedTuple):
    """Commands, and the ledger that they are for."""

    ledger: BudgetLedger
    commands: Sequence[Command]


AskFlow: TypeAlias = Generator[Sequence[Ask], list[list[Reply]], list[Reply]]
Steps: TypeAlias = Generator[Sequence[Ask], list[list[Reply]], None]


def is_away(error: GuardError) -> bool:
    """Whether the ledger did not answer. One that found a row that it cannot read is there, and the row is broken."""
    return isinstance(error, BudgetUnavailable) and not isinstance(
        error.__cause__, (LookupError, TypeError, ValueError)
    )


def _execute(asks: Sequence[Ask]) -> list[list[Reply]]:
    return [ask.ledger.execute(ask.commands) for ask in asks]


async def _aexecute(asks: Sequence[Ask]) -> list[list[Reply]]:
    return [await ask.ledger.aexecute(ask.commands) for ask in asks]


class FallbackLedger:
    """`inner`, and what goes on without it. Whatever a limit does not allow raises `BudgetUnavailable` as before."""

    def __init__(self, inner: BudgetLedger, clock: Clock) -> None:
        self.inner = inner
        self._clock = clock
        self._lock = threading.RLock()
        self._outage: Outage | None = None
        self._late: deque[Settle | Release] = deque()

    @property
    def instant(self) -> bool:
        return self.inner.instant

    @property
    def pending(self) -> int:
        """Entries that the shared ledger has not been told yet."""
        outage = self._outage
        return len(outage.journal) if outage else 0

    def __getattr__(self, name: str) -> Any:
        """What only the shared ledger can do, such as to reopen its books, it does by itself."""
        if name.startswith("_") or name == "inner":
            raise AttributeError(name)
        return getattr(self.inner, name)

    def execute(self, commands: Sequence[Command]) -> list[Reply]:
        if self._lock._is_owned():  # type: ignore[attr-defined]  # what threading.Condition asks it, too
            return [self._postpone(command) for command in commands]
        return run(self._answer(commands), _execute)

    async def aexecute(self, commands: Sequence[Command]) -> list[Reply]:
        return await arun(self._answer(commands), _aexecute)

    def rejoin(self) -> int:
        """Ask at once, and charge what there is: for the end of a process. Returns the entries that are left."""
        return run(self._last_try(), _execute)

    async def arejoin(self) -> int:
        return await arun(self._last_try(), _aexecute)

    def _last_try(self) -> Generator[Sequence[Ask], list[list[Reply]], int]:
        outage = self._outage
        if outage is not None:
            outage.asked_at = NEVER
            with suppress(BudgetUnavailable):
                yield from self._charge(outage)
        return self.pending

    def _postpone(self, command: Command) -> Closed:
        """Take a closing that came while this thread is at it: the garbage collector may end an abandoned stream here,
        and an entry that appears in the middle of a look at the journal would be lost."""
        if not isinstance(command, (Settle, Release)):
            raise BudgetUnavailable("local")
        self._late.append(command)
        return Closed(command.id)

    # Who answers

    def _answer(self, commands: Sequence[Command]) -> AskFlow:
        while (late := self._next_late()) is not None:
            try:
                yield from self._reply([late])
            except GuardError as error:
                _log.warning("a reservation stays open until its lease ends: %s", error)
            except BaseException:
                self._late.appendleft(late)  # Whoever was interrupted here has nothing to do with it.
                raise
        return (yield from self._reply(commands))

    def _next_late(self) -> Settle | Release | None:
        with suppress(IndexError):
            return self._late.popleft()
        return None

    def _reply(self, commands: Sequence[Command]) -> AskFlow:
        outage, cause = self._outage, None
        if outage is None:
            try:
                (replies,) = yield [Ask(self.inner, commands)]
            except BudgetUnavailable as error:
                if not is_away(error) or not all(map(goes_on, commands)):
                    raise
                self._lost(error)
                cause = error
            else:
                return replies
        elif self._may_ask(outage, commands):
            try:
                return (yield from self._rejoined(outage, commands))
            except BudgetUnavailable as error:
                if not is_away(error):
                    raise
                cause = error
        return (yield from self._one_by_one(commands, cause))

    def _one_by_one(self, commands: Sequence[Command], cause: BudgetUnavailable | None) -> AskFlow:
        replies: list[Reply] = []
        for command in commands:
            found = self._by_itself(command, cause)
            if found is not None:
                replies.append(found[0])
                continue
            outage = self._outage
            if outage is None:  # It is back meanwhile.
                replies += yield from self._reply([command])
            elif isinstance(command, Wait):
                replies += (yield [Ask(outage.ledger, [self._waiting(outage, command)])])[0]
            elif cause is not None:
                raise cause
            else:  # Nobody allowed to go on without it, and one that is back is not kept waiting.
                replies += (yield [Ask(self.inner, [command])])[0]
                outage.asked_at = NEVER
        return replies

    def _by_itself(self, command: Command, cause: BudgetUnavailable | None) -> tuple[Reply] | None:
        """The reply of this process alone, where there is one."""
        with self._lock:
            outage = self._outage
            if outage is None or isinstance(command, Wait) or not (goes_on(command) or outage.holds(command)):
                return None
            return (outage.answer(command, cause),)

    def _waiting(self, outage: Outage, command: Wait) -> Wait:
        with self._lock:
            return outage.waiting(command)

    # Away, and back

    def _lost(self, error: BudgetUnavailable) -> None:
        with self._lock:
            news = self._outage is None
            if news:
                self._outage = Outage(self._clock, error)
        if news:
            _log.warning("the budget ledger (%s) is away; what limits allow goes on by itself", error.backend)
            emit("budget.away", backend=error.backend)

    def _may_ask(self, outage: Outage, commands: Sequence[Command]) -> bool:
        """Whether this call is the one that asks whether the shared ledger is back."""
        if not commands or any(isinstance(command, Wait) for command in commands):
            return False
        with self._lock:
            if outage.asking or 0 <= self._clock.now() - outage.asked_at < REJOIN:
                return False
            outage.asking = True
            return True

    def _rejoined(self, outage: Outage, commands: Sequence[Command]) -> AskFlow:
        try:
            yield from self._charge(outage)
            (replies,) = yield [Ask(self.inner, commands)]
        except GuardError as error:
            if is_away(error):
                outage.asked_at = self._clock.now()
            else:
                self._found(outage)
            raise
        else:
            self._found(outage)
            return replies
        finally:
            outage.asking = False

    def _found(self, outage: Outage) -> None:
        with self._lock:
            is_over = self._outage is outage and not len(outage.journal)
            if is_over:
                self._outage = None
            outage.asked_at = NEVER  # What others did meanwhile is charged by the next call.
        if is_over:
            seconds = max(0.0, self._clock.now() - outage.since)
            _log.info("the budget ledger is back: %d charged, %d lost", outage.charged, outage.lost)
            emit("budget.back", seconds=seconds, charged=outage.charged, lost=outage.lost)

    # Charging the journal

    def _charge(self, outage: Outage) -> Steps:
        while chunk := self._first(outage):
            is_told = yield from self._charge_all(chunk)
            for sent in chunk:
                is_charged = is_told or (yield from self._charge_one(sent))
                with self._lock:
                    outage.journal.told(sent)
                    outage.charged += is_charged and isinstance(sent.first, Reserve)
                    outage.lost += not is_charged

    def _first(self, outage: Outage) -> list[Sent]:
        with self._lock:
            return outage.journal.first(BATCH)

    def _charge_all(self, chunk: Sequence[Sent]) -> Generator[Sequence[Ask], list[list[Reply]], bool]:
        """Whether the ledger took all of it. If not, each is sent by itself: what it took stays as it is."""
        try:
            (replies,) = yield [Ask(self.inner, [command for sent in chunk for command in sent.commands])]
        except GuardError as error:
            if is_away(error):
                raise
            return False
        return not any(isinstance(reply, Denied) for reply in replies)

    def _charge_one(self, sent: Sent) -> Generator[Sequence[Ask], list[list[Reply]], bool]:
        """Whether the ledger took it. What it cannot take is said, and not tried for ever."""
        try:
            for command in sent.commands:
                ((reply,),) = yield [Ask(self.inner, [command])]
                if isinstance(reply, Denied) and isinstance(command, Reserve):  # Its owner was frozen meanwhile.
                    yield [Ask(self.inner, corrections(command, sent.closing))]
                    break
        except GuardError as error:
            if is_away(error):
                raise
            _log.error("what was spent while the budget ledger was away cannot be charged: %s", error)
            return False
        return True
