"""Histories: any sequence of commands, repeated, late and out of order, is answered as the plain model answers it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final, TypeAlias

import pytest
from hypothesis import HealthCheck, assume, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from langgraph_guard.backends.protocols import Backend
from langgraph_guard.errors import ReservationConflict
from langgraph_guard.policies.ledger import (
    TURN,
    Account,
    Adjust,
    Charge,
    Command,
    EnsureAtLeast,
    Expire,
    Extend,
    Freeze,
    OpenTurn,
    Owner,
    Read,
    Release,
    Reserve,
    Settle,
    Thaw,
    owner_of,
)
from langgraph_guard.testing.clock import FakeClock
from langgraph_guard.testing.contracts.ledger.harness import TENANT, WAYS, Harness, Way, driven
from langgraph_guard.testing.contracts.ledger.model import CONFLICT, Model, Told, period_of, told

MakeBackend: TypeAlias = Callable[[FakeClock, str], Backend]

LIMITS: Final[dict[Account, int | None]] = {
    Account(TENANT, "session", "s1", "usd"): None,
    Account(TENANT, "session", "s1", "usd", TURN): 80,
    Account(TENANT, "session", "s2", "usd", TURN): 80,
    Account(TENANT, "user", "42", "usd", "day"): 100,
    Account(TENANT, "user", "42", "tokens", "minute"): 60,
    Account("", "global", "", "usd", "month"): 150,
    Account("", "global", "", "tokens", "hour"): 120,
}

# Late on the last day of a month, and less than an hour of history: closed reservations are all remembered.
BEGINS: Final = datetime(2026, 1, 31, 23, 45, tzinfo=UTC).timestamp()
LASTS: Final = 3_000.0

ids = st.sampled_from("abcdefghij")
turns = st.sampled_from(["t1", "t2"])  # with the time before any turn, as many as an account keeps
amounts = st.integers(0, 60)
changes = st.integers(-70, 70)
owners = st.sampled_from(sorted({owner_of(account) for account in LIMITS}))
costs = st.dictionaries(st.sampled_from(["usd", "tokens"]), amounts)


@st.composite
def charges(draw: st.DrawFn) -> Charge:
    account = draw(st.sampled_from(list(LIMITS)))
    amount, limit = draw(amounts), LIMITS[account]
    if limit is not None:
        limit = draw(st.sampled_from([limit, limit // 2]))
    return Charge(account, amount, limit, draw(st.none() | st.integers(0, amount)))


class LedgerMachine(RuleBasedStateMachine):
    """Each step goes to the ledger and to the model; both must say and hold the same."""

    def __init__(self, make_backend: MakeBackend, way: Way) -> None:
        super().__init__()
        self.clock = FakeClock(BEGINS)
        self._driven = driven(make_backend(self.clock, TENANT).ledger, way)
        self.till = self._driven.__enter__()
        self.model = Model()
        self.sent: list[Command] = []
        self.excused: set[tuple[Account, str]] = set()

    def teardown(self) -> None:
        self._driven.__exit__(None, None, None)

    @rule(
        id=ids,
        wanted=st.lists(charges(), max_size=4, unique_by=lambda charge: charge.account),
        lease=st.sampled_from([30.0, 90.0, 600.0]),
        orphans=st.sampled_from(["charge", "release"]),
        turn=st.none() | turns,
    )
    def reserve(self, id: str, wanted: list[Charge], lease: float, orphans: Any, turn: str | None) -> None:
        self._send(Reserve(id, tuple(wanted), lease, orphans, turn))

    @rule(id=ids, cost=costs)
    def settle(self, id: str, cost: dict[str, int]) -> None:
        """At any figure: what costs more than was held, or comes after its lease, may pass a limit."""
        reply = self._send(Settle(id, cost))
        entry = self.model.entries.get(id)
        if entry and reply != CONFLICT and (reply[1] or entry.orphans == "release"):
            self.excused |= {(account, period) for account, period, _ in entry.lines}

    @rule(id=ids)
    def release(self, id: str) -> None:
        self._send(Release(id))

    @rule(session=st.sampled_from(["s1", "s2"]), turn=turns, seq=st.integers(0, 3))
    def open_turn(self, session: str, turn: str, seq: int) -> None:
        self._send(OpenTurn(TENANT, session, turn, seq))

    @rule(account=st.sampled_from(list(LIMITS)), total=st.integers(0, 90), turn=turns)
    def ensure(self, account: Account, total: int, turn: str) -> None:
        self.excused.add((account, period_of(account, turn, self.clock.now())))
        self._send(EnsureAtLeast(account, total, turn))

    @rule(id=ids, lease=st.sampled_from([30.0, 90.0, 600.0]))
    def extend(self, id: str, lease: float) -> None:
        self._send(Extend(id, lease))

    @rule(
        id=st.sampled_from("uvwxyz"),
        account=st.sampled_from(list(LIMITS)),
        spent=changes,
        credit=changes,
        turn=st.just("") | turns,
    )
    def adjust(self, id: str, account: Account, spent: int, credit: int, turn: str) -> None:
        self.excused.add(self.model.place(account, self.clock.now(), turn or None))
        self._send(Adjust(id, account, "ada", "", spent, credit, turn))

    @rule(owner=owners, thawed=st.booleans())
    def freeze(self, owner: Owner, thawed: bool) -> None:
        """Mostly for a moment: in a frozen ledger nothing happens."""
        self._send(Freeze(owner, "ada"))
        if thawed:
            self._send(Thaw(owner, "ada"))

    @rule(owner=owners)
    def thaw(self, owner: Owner) -> None:
        self._send(Thaw(owner, "ada"))

    @precondition(lambda self: self.clock.now() < BEGINS + LASTS - 300)
    @rule(seconds=st.sampled_from([0.001, 1.0, 20.0, 59.999, 60.0, 300.0]))
    def time_passes(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self._send(Expire())

    @rule(at=st.integers(0, 1_000))
    def an_earlier_command_arrives_again(self, at: int) -> None:
        assume(self.sent)
        command = self.sent[at % len(self.sent)]
        match command:
            case Settle():
                self.settle(command.id, dict(command.actual))
            case EnsureAtLeast():
                self.ensure(command.account, command.total, command.turn)
            case Adjust():
                self.adjust(command.id, command.account, command.spent, command.credit, command.turn)
            case _:
                self._send(command)

    @invariant()
    def balances_agree(self) -> None:
        command = Read(tuple(LIMITS))
        (reply,) = self.till.send([command])
        assert told(reply) == self.model.tell(command, self.clock.now())
        for (account, limit), balance in zip(LIMITS.items(), told(reply)[1], strict=True):
            spent, reserved, credit, _ = balance
            assert min(spent, reserved, credit) >= 0
            if limit is not None and self.model.place(account, self.clock.now()) not in self.excused:
                assert spent + reserved <= limit

    def _send(self, command: Command) -> Told:
        expected = self.model.tell(command, self.clock.now())
        try:
            (reply,) = self.till.send([command])
            answer = told(reply)
        except ReservationConflict:
            answer = CONFLICT
        assert answer == expected
        self.sent.append(command)
        return answer


class Histories(Harness):
    """The rules, checked against themselves told in another way."""

    @pytest.mark.parametrize("way", WAYS)
    def test_every_history_is_answered_as_the_model_answers_it(self, way: Way) -> None:
        """Reserve, extend, settle, release, expire, turns, re-seeding, deeds and replays, in any order, at any time."""
        make_backend = self.make_backend

        class Machine(LedgerMachine):
            def __init__(self) -> None:
                super().__init__(make_backend, way)

        run_state_machine_as_test(
            Machine,
            settings=settings(
                max_examples=80, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
            ),
        )
