"""Circuits in a dict: the rules of `policies/breaker/`, one lock, one assignment per command."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from itertools import islice
from typing import Final, NamedTuple

from langgraph_guard.backends.protocols import Clock
from langgraph_guard.policies.breaker import rules
from langgraph_guard.policies.breaker.circuit import FRESH, Circuit, change
from langgraph_guard.policies.breaker.commands import (
    Admit,
    Admitted,
    Audit,
    AuditRecord,
    CircuitKey,
    Command,
    ForceOpen,
    Peek,
    Record,
    Refused,
    Reply,
    Reset,
)
from langgraph_guard.policies.breaker.settings import BUCKETS, BreakerSettings

MOST: Final = 10_000
"""Circuits that are remembered. For one more, the one that was written longest ago goes, but none that is held open."""

RETENTION: Final = 3_600_000
"""Milliseconds for which a closed circuit that was open once is remembered past its window: calls of its older
generations may still be under way, and would count in a new circuit."""

KEPT_AUDIT: Final = 100
"""Records of what people did to a circuit, the newest."""


MOMENT: Final = 1_000
"""Milliseconds in which a row that is written again stays at its place among the others."""


class Row(NamedTuple):
    """A circuit, the moment in which it took its place, and until when its being closed is worth remembering."""

    circuit: Circuit
    moment: int
    until_ms: int


_UNKNOWN: Final = Row(FRESH, -1, 0)


class MemoryBreakers:
    """Linearizable within the process. Memory is bounded: by what failed lately, by `MOST`, by what people did."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        # Reentrant: the garbage collector may end an abandoned stream while this thread is at it, and waiting for the
        # lock would be waiting for itself. Of two results of one moment, one may then be lost.
        self._lock = threading.RLock()
        self._rows: OrderedDict[CircuitKey, Row] = OrderedDict()
        self._audits: OrderedDict[CircuitKey, tuple[AuditRecord, ...]] = OrderedDict()

    @property
    def instant(self) -> bool:
        return True

    def execute(self, commands: Sequence[Command]) -> list[Reply]:
        return [self._obey(command) for command in commands]

    async def aexecute(self, commands: Sequence[Command]) -> list[Reply]:
        return [self._obey(command) for command in commands]

    def _obey(self, command: Command) -> Reply:
        if isinstance(command, Admit):
            return self._admit(command)
        if isinstance(command, Record):
            return self._record(command)
        if isinstance(command, Peek):
            now_ms, rows = self._now_ms(), self._rows
            return tuple(rules.peek(rows.get(key, _UNKNOWN).circuit, command.settings, now_ms) for key in command.keys)
        if isinstance(command, Audit):
            return self._audits.get(command.key, ())
        return self._by_hand(command)

    def _admit(self, command: Admit) -> Admitted | Refused:
        # A closed circuit is only read, so callers do not wait for each other. Rows are never changed, only replaced.
        circuit = self._rows.get(command.key, _UNKNOWN).circuit
        if circuit.state == "closed":
            return Admitted(circuit.generation)
        with self._lock:
            now_ms = self._now_ms()
            row = self._rows.get(command.key, _UNKNOWN)
            reply, after = rules.admit(row.circuit, command.settings, now_ms, command.permit)
            self._keep(command.key, row, after, command.settings, now_ms)
        moved = change(row.circuit, after)
        return reply._replace(change=moved) if moved and isinstance(reply, Admitted) else reply

    def _record(self, command: Record) -> Reply:
        with self._lock:
            now_ms = self._now_ms()
            row = self._rows.get(command.key, _UNKNOWN)
            after = rules.record(
                row.circuit,
                command.settings,
                now_ms,
                (command.permit, command.generation),
                command.outcome,
                command.duration_ms,
                command.chance,
            )
            self._keep(command.key, row, after, command.settings, now_ms)
        return change(row.circuit, after)

    def _by_hand(self, command: ForceOpen | Reset) -> Reply:
        with self._lock:
            now_ms = self._now_ms()
            row = self._rows.get(command.key, _UNKNOWN)
            before = row.circuit
            if isinstance(command, ForceOpen):
                after = rules.force_open(before, now_ms)
                said = AuditRecord(now_ms, "force_open", command.by, command.reason, before.state)
            else:
                after = rules.reset(before, now_ms)
                said = AuditRecord(now_ms, "reset", command.by, command.reason, before.state)
            # The record first: a KeyboardInterrupt in between leaves one that says too much, never a secret deed.
            self._audits[command.key] = (*self._audits.get(command.key, ()), said)[-KEPT_AUDIT:]
            self._audits.move_to_end(command.key)
            if len(self._audits) > MOST:
                self._audits.popitem(last=False)
            self._keep(command.key, row, after, None, now_ms)
        return change(before, after)

    # What is remembered

    def _keep(
        self, key: CircuitKey, before: Row, after: Circuit, settings: BreakerSettings | None, now_ms: int
    ) -> None:
        if after is before.circuit:
            return
        # What every call does to a busy circuit is this much and no more.
        if before.moment == now_ms // MOMENT and after.generation == before.circuit.generation:
            self._rows[key] = Row(after, before.moment, before.until_ms)
            return
        window = BUCKETS * settings.figures.bucket_ms if settings else 0
        until = now_ms + MOMENT + window + (RETENTION if after.generation else 0)
        # One call in C on a key that hashes in C: a KeyboardInterrupt falls before all of it or after all of it.
        self._rows[key] = Row(after, now_ms // MOMENT, until)
        self._rows.move_to_end(key)
        self._sweep(now_ms)

    def _sweep(self, now_ms: int) -> None:
        """Look at the two rows that were written longest ago: each write adds one at the most."""
        for key in list(islice(self._rows, 2)):
            row = self._rows[key]
            if row.circuit.state != "closed":
                self._rows.move_to_end(key)
            elif row.until_ms <= now_ms:
                del self._rows[key]
        while len(self._rows) > MOST and self._forget_one():
            pass

    def _forget_one(self) -> bool:
        for key, row in self._rows.items():
            if row.circuit.state != "forced_open":
                del self._rows[key]
                return True
        return False

    def _now_ms(self) -> int:
        return int(self._clock.now() * 1_000)
