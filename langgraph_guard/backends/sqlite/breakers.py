"""Circuits in a file: the rules of `policies/breaker/`, one transaction per command."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from functools import partial
from time import monotonic
from typing import Final, NamedTuple

from langgraph_guard.backends.protocols import Clock
from langgraph_guard.backends.sqlite import rows
from langgraph_guard.backends.sqlite.file import File
from langgraph_guard.policies.breaker import (
    FRESH,
    Admit,
    Admitted,
    Audit,
    AuditRecord,
    BreakerSettings,
    Circuit,
    CircuitKey,
    Command,
    ForceOpen,
    Peek,
    Record,
    Refused,
    Reply,
    Reset,
    change,
    rules,
)
from langgraph_guard.policies.breaker.settings import BUCKETS

LOOKS: Final = (Admit, Peek, Audit)
"""What mostly finds that there is nothing to write: a circuit is closed nearly always."""

MOST: Final = 10_000
"""Circuits that are remembered. For one more, the one that was written longest ago goes, but none that is held open."""

RETENTION: Final = 3_600_000
"""Milliseconds for which a closed circuit that was open once is remembered past its window: calls of its older
generations may still be under way, and would count in a new circuit."""

KEPT_AUDIT: Final = 100
"""Records of what people did to a circuit, the newest."""

MOMENT: Final = 1_000
"""Milliseconds in which a circuit that is written again stays at its place among the others."""


class Row(NamedTuple):
    """A circuit, and when it took its place among those that may go."""

    circuit: Circuit
    wrote: int | None


class Seen(NamedTuple):
    """The reply of somebody who only looked."""

    reply: Reply


_UNKNOWN: Final = Row(FRESH, None)


class SqliteBreakers:
    """Linearizable among all processes of a machine. The file is bounded: by what failed lately, by `MOST`, by what
    people did. Asking a closed circuit writes nothing and waits for nobody."""

    def __init__(self, file: File, clock: Clock) -> None:
        self._file = file
        self._clock = clock

    @property
    def instant(self) -> bool:
        return False

    def execute(self, commands: Sequence[Command]) -> list[Reply]:
        return [self._answer(command) for command in commands]

    async def aexecute(self, commands: Sequence[Command]) -> list[Reply]:
        return [await self._aanswer(command) for command in commands]

    def _answer(self, command: Command) -> Reply:
        since = monotonic()
        seen = self._see(command, since)
        return self._obey(command, since) if seen is None else seen.reply

    async def _aanswer(self, command: Command) -> Reply:
        since = monotonic()
        if isinstance(command, LOOKS):
            seen = await self._file.aside(partial(self._see, command, since), writing=False)
            if seen is not None:
                return seen.reply
        return await self._file.aside(partial(self._obey, command, since), writing=True)

    # What writes nothing waits for nobody

    def _see(self, command: Command, since: float) -> Seen | None:
        """The reply to a command that has nothing to write; `None` when it has."""
        if not isinstance(command, LOOKS):
            return None
        return self._file.read(type(command).__name__, partial(self._look, command), since)

    def _look(self, command: Admit | Peek | Audit, connection: sqlite3.Connection) -> Seen | None:
        shelf, now_ms = Shelf(connection), self._now_ms()
        if isinstance(command, Audit):
            return Seen(shelf.audit(command.key))
        if isinstance(command, Peek):
            circuits = [shelf.get(key).circuit for key in command.keys]
            return Seen(tuple(rules.peek(circuit, command.settings, now_ms) for circuit in circuits))
        circuit = shelf.get(command.key).circuit
        return Seen(Admitted(circuit.generation)) if circuit.state == "closed" else None

    # What writes

    def _obey(self, command: Command, since: float) -> Reply:
        doing = type(command).__name__
        if isinstance(command, Admit):
            return self._file.write(doing, partial(self._admit, command), since)
        if isinstance(command, Record):
            if self._file.is_writing():
                self._file.postpone(partial(self._obey, command, since))
                return None
            return self._file.write(doing, partial(self._record, command), since)
        assert isinstance(command, (ForceOpen, Reset))
        return self._file.write(doing, partial(self._by_hand, command), since)

    def _admit(self, command: Admit, connection: sqlite3.Connection) -> Admitted | Refused:
        shelf, now_ms = Shelf(connection), self._now_ms()
        row = shelf.get(command.key)
        reply, after = rules.admit(row.circuit, command.settings, now_ms, command.permit)
        shelf.keep(command.key, row, after, command.settings, now_ms)
        moved = change(row.circuit, after)
        return reply._replace(change=moved) if moved and isinstance(reply, Admitted) else reply

    def _record(self, command: Record, connection: sqlite3.Connection) -> Reply:
        shelf, now_ms = Shelf(connection), self._now_ms()
        row = shelf.get(command.key)
        after = rules.record(
            row.circuit,
            command.settings,
            now_ms,
            (command.permit, command.generation),
            command.outcome,
            command.duration_ms,
            command.chance,
        )
        shelf.keep(command.key, row, after, command.settings, now_ms)
        return change(row.circuit, after)

    def _by_hand(self, command: ForceOpen | Reset, connection: sqlite3.Connection) -> Reply:
        shelf, now_ms = Shelf(connection), self._now_ms()
        row = shelf.get(command.key)
        before = row.circuit
        if isinstance(command, ForceOpen):
            after = rules.force_open(before, now_ms)
            said = AuditRecord(now_ms, "force_open", command.by, command.reason, before.state)
        else:
            after = rules.reset(before, now_ms)
            said = AuditRecord(now_ms, "reset", command.by, command.reason, before.state)
        shelf.note(command.key, said)
        shelf.keep(command.key, row, after, None, now_ms)
        return change(before, after)

    def _now_ms(self) -> int:
        return int(self._clock.now() * 1_000)


class Shelf:
    """The circuits in one transaction."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._sql = connection.execute

    def get(self, key: CircuitKey) -> Row:
        found = self._sql("SELECT row, wrote FROM circuits WHERE circuit = ?", (rows.name(key),)).fetchone()
        return _UNKNOWN if found is None else Row(rows.circuit(found[0]), found[1])

    def audit(self, key: CircuitKey) -> tuple[AuditRecord, ...]:
        found = self._sql("SELECT row FROM audits WHERE circuit = ?", (rows.name(key),)).fetchone()
        return () if found is None else rows.audit(found[0])

    def keep(self, key: CircuitKey, before: Row, after: Circuit, settings: BreakerSettings | None, now_ms: int) -> None:
        """Remember what a circuit became, for as long as it says anything."""
        if after is before.circuit:
            return
        text = rows.to_text(after)
        # What every call does to a busy circuit is this much and no more.
        moment = None if before.wrote is None else before.wrote // MOMENT
        if moment == now_ms // MOMENT and after.generation == before.circuit.generation:
            self._sql("UPDATE circuits SET row = ? WHERE circuit = ?", (text, rows.name(key)))
            return
        window = BUCKETS * settings.figures.bucket_ms if settings else 0
        until = now_ms + MOMENT + window + (RETENTION if after.generation else 0)
        self._sql(
            "INSERT INTO circuits (circuit, row, wrote, until) VALUES (?, ?, ?, ?) ON CONFLICT (circuit)"
            " DO UPDATE SET row = excluded.row, wrote = excluded.wrote, until = excluded.until",
            (
                rows.name(key),
                text,
                None if after.state == "forced_open" else now_ms,
                until if after.state == "closed" else None,
            ),
        )
        self._sql("DELETE FROM circuits WHERE until <= ?", (now_ms,))
        if before is _UNKNOWN:
            self._sql(
                "DELETE FROM circuits WHERE circuit IN (SELECT circuit FROM circuits WHERE wrote IS NOT NULL"
                " ORDER BY wrote LIMIT max(0, (SELECT count(*) FROM circuits) - ?))",
                (MOST,),
            )

    def note(self, key: CircuitKey, said: AuditRecord) -> None:
        """Add to what people did to a circuit."""
        known = self.audit(key)
        self._sql(
            "INSERT INTO audits (circuit, row, wrote) VALUES (?, ?, ?) ON CONFLICT (circuit)"
            " DO UPDATE SET row = excluded.row, wrote = excluded.wrote",
            (rows.name(key), rows.to_text((*known, said)[-KEPT_AUDIT:]), said.at_ms),
        )
        if not known:
            self._sql(
                "DELETE FROM audits WHERE circuit IN (SELECT circuit FROM audits"
                " ORDER BY wrote LIMIT max(0, (SELECT count(*) FROM audits) - ?))",
                (MOST,),
            )
