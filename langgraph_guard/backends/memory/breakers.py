"""Circuits in a dict: the rules of `policies/breaker/`, one lock, one assignment per command.

Successes in a closed circuit take no lock: `tally.py` counts them, and what writes the circuit next adds them to it.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from itertools import islice
from typing import Final, NamedTuple

from langgraph_guard.backends.memory.tally import SHUT, Tally, tally_for
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
    Status,
)
from langgraph_guard.policies.breaker.settings import BUCKETS, BreakerSettings, Figures

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
    """A circuit, the moment in which it took its place, and until when its being closed is worth remembering.

    `tally`: what succeeded since. Whoever replaces the row closes it first.
    """

    circuit: Circuit
    moment: int
    until_ms: int
    tally: Tally = SHUT


_UNKNOWN: Final = Row(FRESH, -1, 0)


class MemoryBreakers:
    """Linearizable within the process. Memory is bounded: by what failed lately, by `MOST`, by what people did."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        # Reentrant: the garbage collector may end an abandoned stream while this thread is at it, and waiting for the
        # lock would be waiting for itself. Of two results of one moment, one may then be lost, and what succeeded
        # between them.
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

    def tally(self, key: CircuitKey, figures: Figures) -> Tally:
        """Where successes of a closed circuit are counted now. One that is not `open` says nothing of the circuit."""
        tally = self._rows.get(key, _UNKNOWN).tally
        return tally if tally.figures == figures else SHUT

    def _obey(self, command: Command) -> Reply:
        if isinstance(command, Admit):
            return self._admit(command)
        if isinstance(command, Record):
            return self._record(command)
        if isinstance(command, Peek):
            return self._peek(command)
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

    def _peek(self, command: Peek) -> tuple[Status, ...]:
        with self._lock:
            now_ms = self._now_ms()
            rows = [self._rows.get(key, _UNKNOWN) for key in command.keys]
            circuits = [row.tally.added_to(row.circuit) for row in rows]
        return tuple(rules.peek(circuit, command.settings, now_ms) for circuit in circuits)

    def _record(self, command: Record) -> Reply:
        if command.outcome.kind == "success" and self._tallied(command):
            return None
        with self._lock:
            now_ms = self._now_ms()
            row = self._settled(command.key)
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

    def _tallied(self, command: Record) -> bool:
        tally = self.tally(command.key, command.settings.figures)
        return tally.generation == command.generation and tally.count(self._clock.now() * 1_000, command.duration_ms)

    def _by_hand(self, command: ForceOpen | Reset) -> Reply:
        with self._lock:
            now_ms = self._now_ms()
            row = self._settled(command.key)
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

    def _settled(self, key: CircuitKey) -> Row:
        """The row with what its tally counted in its circuit. A closed tally stays as it is until the row is there."""
        row = self._rows.get(key, _UNKNOWN)
        if row.tally is SHUT:
            return row
        row.tally.close()
        settled = Row(row.tally.added_to(row.circuit), row.moment, row.until_ms)
        if self._rows.get(key) is not row:  # the garbage collector ended a call here, which began another tally
            return self._settled(key)
        self._rows[key] = settled
        return settled

    def _keep(
        self, key: CircuitKey, before: Row, after: Circuit, settings: BreakerSettings | None, now_ms: int
    ) -> None:
        if after is before.circuit:
            return
        same = after.generation == before.circuit.generation
        tally = tally_for(after, settings.figures) if settings and same else SHUT
        # `before` has no tally any more, but what the garbage collector ended meanwhile may have begun another.
        self._rows.get(key, _UNKNOWN).tally.close()
        # What every call does to a busy circuit is this much and no more.
        if same and before.moment == now_ms // MOMENT:
            self._rows[key] = Row(after, before.moment, before.until_ms, tally)
            return
        window = BUCKETS * settings.figures.bucket_ms if settings else 0
        until = now_ms + MOMENT + window + (RETENTION if after.generation else 0)
        # One call in C on a key that hashes in C: a KeyboardInterrupt falls before all of it or after all of it.
        self._rows[key] = Row(after, now_ms // MOMENT, until, tally)
        self._rows.move_to_end(key)
        self._sweep(now_ms)

    def _sweep(self, now_ms: int) -> None:
        """Look at the two rows that were written longest ago: each write adds one at the most."""
        for key in list(islice(self._rows, 2)):
            row = self._rows[key]
            if row.circuit.state != "closed":
                self._rows.move_to_end(key)
            elif row.until_ms <= now_ms:
                self._forget(key, row)
        while len(self._rows) > MOST and self._forget_one():
            pass

    def _forget_one(self) -> bool:
        for key, row in self._rows.items():
            if row.circuit.state != "forced_open":
                self._forget(key, row)
                return True
        return False

    def _forget(self, key: CircuitKey, row: Row) -> None:
        row.tally.close()
        del self._rows[key]

    def _now_ms(self) -> int:
        return int(self._clock.now() * 1_000)
