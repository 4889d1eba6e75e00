"""What the desk and the outbox of one process share: rows in a dict, one lock, one chain of deeds per tenant."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Any, Final

from langgraph_guard.backends.protocols import Clock
from langgraph_guard.policies.approval.chain import Deed, Head
from langgraph_guard.policies.approval.commands import RETENTION, Approval
from langgraph_guard.policies.approval.desk import approval_key, deed_key, head_key
from langgraph_guard.policies.outbox import Doubt, EffectKey, Execution, doubt

KEPT_DEEDS: Final = 10_000
"""Deeds of a tenant that are remembered, the newest."""

Rule = Callable[[Callable[[Any], Any], Any, float], tuple[Any, dict[Any, Any]]]


class Journal:
    """Linearizable within the process. What is closed goes after `RETENTION`; what is open or in doubt stays."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.RLock()
        self._rows: dict[Any, Any] = {}
        self._closed: OrderedDict[Any, float] = OrderedDict()
        self._open: dict[Any, Approval] = {}
        self._begun: dict[EffectKey, Execution] = {}

    def obey(self, rule: Rule, command: Any) -> Any:
        """One atomic step."""
        with self._lock:
            now = self._clock.now()
            self._forget(now)
            reply, writes = rule(self._rows.get, command, now)
            self._write(writes, now)
            return reply

    def open(self, tenant: str, after: str = "") -> list[Approval]:
        """Requests that nobody closed, oldest first; those behind `after`, whatever has become of that one."""
        with self._lock:
            self._forget(self._clock.now())
            found = [approval for (_, of, _), approval in self._open.items() if of == tenant]
            last: Approval | None = self._rows.get(approval_key(tenant, after))
        ordered = sorted(found, key=_place)
        return ordered if last is None else [each for each in ordered if _place(each) > _place(last)]

    def doubts(self, tenant: str, after: str) -> list[Doubt]:
        """Executions in doubt behind the place `after`, in order."""
        with self._lock:
            now = self._clock.now()
            found = [doubt(key, known, now) for key, known in self._begun.items() if key.tenant == tenant]
        return sorted((each for each in found if each and each.place > after), key=lambda each: each.place)

    def now(self) -> float:
        return self._clock.now()

    def deeds(self, tenant: str, after: int, count: int) -> tuple[tuple[Deed, ...], Head]:
        """A part of the chain, and where it ends."""
        with self._lock:
            head: Head = self._rows.get(head_key(tenant)) or Head()
            first = max(after, head.number - KEPT_DEEDS) + 1
            numbers = range(first, min(first + count, head.number + 1))
            return tuple(self._rows[deed_key(tenant, number)] for number in numbers), head

    def _write(self, writes: dict[Any, Any], now: float) -> None:
        for key, row in writes.items():
            if isinstance(row, Approval):
                self._note(key, row, now)
            elif isinstance(row, Execution):
                self._note_execution(key, row, now)
            elif key[0] == "deed":
                self._rows.pop(deed_key(key[1], key[2] - KEPT_DEEDS), None)
        self._rows.update(writes)

    def _note(self, key: Any, approval: Approval, now: float) -> None:
        self._closes(key, not approval.is_open, now)
        if approval.is_open:
            self._open[key] = approval
        else:
            self._open.pop(key, None)

    def _note_execution(self, key: Any, execution: Execution, now: float) -> None:
        has_ended = execution.state in ("done", "failed")
        self._closes(key, has_ended, now)
        if has_ended:
            self._begun.pop(key[1], None)
        else:
            self._begun[key[1]] = execution

    def _closes(self, key: Any, closed: bool, now: float) -> None:
        self._closed.pop(key, None)
        if closed:
            self._closed[key] = now

    def _forget(self, now: float) -> None:
        for key in list(self._over(now)):
            del self._closed[key]
            self._rows.pop(key, None)

    def _over(self, now: float) -> Iterator[Any]:
        for key, closed_at in self._closed.items():
            if closed_at + RETENTION > now:
                return
            yield key


def _place(approval: Approval) -> tuple[float, str]:
    return approval.at, approval.id
