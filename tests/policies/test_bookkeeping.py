"""The ledger's rules, checked in every state that three workers, a bad network and a sweeper can bring about.

Backends have their contract in `langgraph_guard.testing.contracts`; here it is the rules alone, as functions of rows,
and so few steps that all of them can be tried.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import pytest

from langgraph_guard.errors import ReservationConflict
from langgraph_guard.policies import bookkeeping as rules
from langgraph_guard.policies.bookkeeping import account_key, find, hold_key
from langgraph_guard.policies.ledger import (
    TURN,
    Account,
    Balance,
    Charge,
    Denied,
    Granted,
    Release,
    Reserve,
    Settle,
)

EVER: Final = Account("acme", "session", "s1", "usd")
TODAY: Final = Account("acme", "user", "42", "usd", "day")
LIMIT: Final = 100
HELD: Final = (50, 60, 40)
COST: Final = (35, 60, 0)
MIDNIGHT: Final = 86_400.0
RETRIES: Final = 1


class Worker(NamedTuple):
    """Where a worker is: what it does next, and how often it may still send that again."""

    step: str = "reserve"
    tries: int = RETRIES


class World(NamedTuple):
    """Everything that there is: the store's rows, the workers, and the clock."""

    rows: frozenset[tuple[Any, Any]]
    workers: tuple[Worker, ...]
    now: float


def commands(worker: int) -> dict[str, Reserve | Settle]:
    """What a worker sends: a reservation on two accounts, then what its call cost."""
    charges = (Charge(EVER, HELD[worker], LIMIT), Charge(TODAY, HELD[worker], LIMIT))
    return {"reserve": Reserve(f"w{worker}", charges), "settle": Settle(f"w{worker}", {"usd": COST[worker]})}


def after(world: World, writes: dict[Any, Any], worker: int | None = None, becomes: Worker | None = None) -> World:
    """The world with rows written and a worker moved on."""
    workers = list(world.workers)
    if worker is not None and becomes is not None:
        workers[worker] = becomes
    return World(frozenset({**dict(world.rows), **writes}.items()), tuple(workers), world.now)


def next_worlds(world: World) -> Iterator[World]:
    """Whatever can happen next: a message arrives or is lost, a worker dies, a lease ends, the day does."""
    rows = dict(world.rows)
    for number, worker in enumerate(world.workers):
        if worker.step == "done":
            continue
        again = Worker(worker.step, worker.tries - 1)
        reply, writes = _deliver(rows, number, worker.step, world.now)
        moved_on = Worker("settle") if worker.step == "reserve" and isinstance(reply, Granted) else Worker("done")
        yield after(world, writes, number, moved_on)
        yield after(world, {}, number, Worker("done"))  # it dies before it sends
        yield after(world, writes, number, Worker("done"))  # it dies after
        if worker.tries:
            yield after(world, {}, number, again)  # the request is lost
            yield after(world, writes, number, again)  # the answer is lost
        writes = rules.expire(rows.get, f"w{number}", 10 * MIDNIGHT)
        if writes:
            yield after(world, writes)
    if world.now == 0:
        yield world._replace(now=MIDNIGHT)


def _deliver(rows: dict[Any, Any], number: int, step: str, now: float) -> tuple[Any, dict[Any, Any]]:
    command = commands(number)[step]
    if isinstance(command, Reserve):
        return rules.reserve(rows.get, command, now)
    return rules.settle(rows.get, command, now)


def all_worlds() -> set[World]:
    """Every state that can be reached, however often its way there crosses itself."""
    start = World(frozenset(), (Worker(),) * 3, 0.0)
    found, fresh = {start}, [start]
    while fresh:
        for world in next_worlds(fresh.pop()):
            if world not in found:
                found.add(world)
                fresh.append(world)
    return found


def test_in_every_reachable_state_the_books_are_right() -> None:
    """Lost requests, lost answers, deaths, late settlements and midnight, at every point of three workers' work.

    Spent plus reserved stays within the limit on every account in every period; and both are exactly what the
    reservations say: nothing is lost, and nothing counted twice.
    """
    worlds = all_worlds()
    for world in worlds:
        rows = dict(world.rows)
        expected: dict[tuple[Account, str], list[int]] = {}
        for number in range(3):
            hold = rows.get(hold_key(f"w{number}"))
            if hold is None:
                continue
            assert [charge.account for charge in hold.charges] == [EVER, TODAY]
            for charge, period, granted in zip(hold.charges, hold.periods, hold.granted, strict=True):
                figures = expected.setdefault((charge.account, period), [0, 0])
                figures[hold.state == "held"] += COST[number] if hold.state == "settled" else granted
        actual = {
            (account, balance.period): [balance.spent, balance.reserved]
            for account in (EVER, TODAY)
            for balance in rows.get(account_key(account), ())
        }
        assert actual == expected
        assert all(0 <= spent + reserved <= LIMIT for spent, reserved in actual.values())
    assert len(worlds) > 4_000
    states = {row.state for world in worlds for key, row in world.rows if key[0] == "hold"}
    assert states == {"held", "settled", "expired"}


# What a single rule does


def test_a_rule_writes_only_what_it_returns() -> None:
    """A backend runs a rule inside its own atomic step, or not at all; rows are never changed in place."""
    rows: dict[Any, Any] = {account_key(EVER): (Balance(5, 5),)}
    before = dict(rows)
    reply, writes = rules.reserve(rows.get, commands(0)["reserve"], 0.0)  # type: ignore[arg-type]
    assert isinstance(reply, Granted)
    assert rows == before
    assert set(writes) == {account_key(EVER), account_key(TODAY), hold_key("w0")}


def test_a_denial_writes_nothing() -> None:
    """Neither accounts nor a row for the reservation: who is refused leaves no trace to clean up."""
    rows: dict[Any, Any] = {account_key(TODAY): (Balance(51, 0, "000000000000"),)}
    reply, writes = rules.reserve(rows.get, commands(0)["reserve"], 0.0)  # type: ignore[arg-type]
    assert isinstance(reply, Denied)
    assert writes == {}


def test_a_released_reservation_is_repeated_as_it_was_made() -> None:
    """Its answer may be on its way still; the worker that gave it back knows not to use it."""
    rows: dict[Any, Any] = {}
    reserve = Reserve("r", (Charge(EVER, 5, LIMIT),))
    first, writes = rules.reserve(rows.get, reserve, 0.0)
    rows.update(writes)
    rows.update(rules.release(rows.get, Release("r"), 0.0)[1])
    assert rules.reserve(rows.get, reserve, 0.0) == (first, {})


def test_a_tombstone_has_no_room_for_anyone() -> None:
    """A release that overtook its reservation has closed it."""
    rows = dict(rules.release({}.get, Release("r"), 0.0)[1])
    with pytest.raises(ReservationConflict, match="released"):
        rules.reserve(rows.get, Reserve("r", (Charge(EVER, 5, LIMIT),)), 0.0)


def test_an_account_keeps_a_few_periods() -> None:
    """One row per account must not grow by a period a minute, for ever."""
    minute = Account("acme", "user", "42", "usd", "minute")
    rows: dict[Any, Any] = {}
    for number in range(50):
        reply, writes = rules.reserve(rows.get, Reserve(f"r{number}", (Charge(minute, 1),)), 60.0 * number)
        rows.update(writes)
        rows.update(rules.settle(rows.get, Settle(reply.id), 60.0 * number)[1])  # type: ignore[union-attr]
    kept = rows[account_key(minute)]
    assert [balance.period for balance in kept] == ["000000000047", "000000000048", "000000000049"]


def test_a_period_that_holds_something_is_kept() -> None:
    """A reservation of long ago must find where it belongs."""
    minute = Account("acme", "user", "42", "usd", "minute")
    rows: dict[Any, Any] = {}
    for number in range(10):
        rows.update(rules.reserve(rows.get, Reserve(f"r{number}", (Charge(minute, 1),)), 60.0 * number)[1])
    assert len(rows[account_key(minute)]) == 10
    assert find(rows[account_key(minute)], "000000000000") == Balance(0, 1, "000000000000")


@pytest.mark.parametrize(
    ("amount", "limit", "at_least", "taken", "granted"),
    [
        (30, None, None, 10**15, 30),
        (30, 100, None, 70, 30),
        (30, 100, None, 71, None),
        (30, 100, 10, 71, 29),
        (30, 100, 10, 90, 10),
        (30, 100, 10, 91, None),
        (30, 100, 0, 100, 0),
        (30, 100, 0, 101, None),
        (0, 100, None, 100, 0),
        (0, 100, None, 101, None),
    ],
)
def test_how_much_there_is_room_for(
    amount: int, limit: int | None, at_least: int | None, taken: int, granted: int | None
) -> None:
    """What is taken is spent and held alike."""
    charge = Charge(EVER, amount, limit, at_least)
    for spent in (0, taken // 3, taken):
        assert rules.fit(charge, Balance(spent, taken - spent)) == granted


def test_a_turn_is_a_period_of_its_session() -> None:
    """It begins with a message and not with a clock."""
    turn = EVER._replace(window=TURN)
    rows: dict[Any, Any] = {rules.turn_key("acme", "s1"): ("t1", 1)}
    reply, writes = rules.reserve(rows.get, Reserve("r", (Charge(turn, 5, LIMIT),)), 0.0)
    assert reply == Granted("r", (5,), "t1")
    assert writes[account_key(turn)] == (Balance(0, 5, "t1"),)
