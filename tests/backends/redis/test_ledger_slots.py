"""A slot for each tenant and one for everyone: two steps, each atomic, and nothing is left of a denial."""

from __future__ import annotations

import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import pytest
import redis
from redis.crc import key_slot

from langgraph_guard._redis import RedisLink, Script
from langgraph_guard.backends.redis.ledger import RedisLedger
from langgraph_guard.errors import BudgetUnavailable, InvalidAmount, ReservationConflict
from langgraph_guard.policies.ledger import (
    Account,
    Balance,
    Charge,
    Closed,
    Denied,
    Expire,
    Granted,
    Holds,
    OpenTurn,
    Page,
    Read,
    Release,
    Reserve,
    Settle,
)
from langgraph_guard.testing import FakeClock
from tests.servers.redis import HOST, RedisCluster, RedisServer

LEASE: Final = 60.0
TURN: Final = Account("acme", "session", "s1", "usd", "turn")
USER: Final = Account("acme", "user", "42", "usd", "day")
EVERYONE: Final = Account("", "global", "", "usd", "hour")
BOTH: Final = (EVERYONE, USER)


@pytest.fixture
def link(redis_server: RedisServer) -> Iterator[RedisLink]:
    """One server; the slots are the same."""
    link = RedisLink.from_url(redis_server.url)
    yield link
    link.close()


@pytest.fixture
def ledger(link: RedisLink, clock: FakeClock, prefix: str) -> RedisLedger:
    """A tenant's ledger."""
    return RedisLedger(link, clock, prefix=prefix, slots="tenant", tenant="acme")


def charges(amount: int, limit: int = 1_000, everyones: int = 1_000) -> tuple[Charge, ...]:
    """On everyone's account and on the user's; everyone's first, to be asked last."""
    return Charge(EVERYONE, amount, everyones), Charge(USER, amount, limit)


def balances(ledger: RedisLedger) -> list[tuple[int, int]]:
    """Of everyone, and of the user."""
    (found,) = ledger.execute([Read(BOTH)])
    assert isinstance(found, tuple)
    return [(each.spent, each.reserved) for each in found if isinstance(each, Balance)]


class DiesBetween(RedisLink):
    """The link of a worker that dies before its n-th reservation script."""

    def __init__(self, url: str, number: int) -> None:
        self._open(RedisLink.from_url(url).settings, None, 2.0)
        self.left = number

    def execute(self, batch: Any) -> list[Any]:
        if isinstance(batch[0][0], Script) and batch[0][0].name == "reserve":
            self.left -= 1
            if self.left == 0:
                raise KeyboardInterrupt
        return super().execute(batch)


def test_both_are_reserved_and_both_are_settled(ledger: RedisLedger) -> None:
    """Grants follow the charges, whatever was asked first."""
    wanted = (Charge(EVERYONE, 30, 1_000), Charge(USER, 50, 40, 10))
    assert ledger.execute([Reserve("r", wanted)]) == [Granted("r", (30, 40))]
    assert balances(ledger) == [(0, 30), (0, 40)]
    assert ledger.execute([Settle("r", {"usd": 35})]) == [Closed("r", {"usd": 5})]
    assert balances(ledger) == [(35, 0), (35, 0)]


def test_a_denial_of_everyones_undoes_the_tenants(ledger: RedisLedger) -> None:
    """As if it had not been: its id is free again, for as long as the caller goes on asking."""
    assert isinstance(ledger.execute([Reserve("r", charges(30, everyones=29))])[0], Denied)
    assert balances(ledger) == [(0, 0)] * 2
    assert ledger.execute([Reserve("r", charges(30))]) == [Granted("r", (30, 30))]
    assert balances(ledger) == [(0, 30)] * 2


def test_a_sum_that_is_too_large_undoes_the_tenants(ledger: RedisLedger) -> None:
    """After each error nothing is written."""
    ledger.execute([Reserve("a", (Charge(EVERYONE, 2**53 - 1),))])
    with pytest.raises(InvalidAmount):
        ledger.execute([Reserve("r", (Charge(EVERYONE, 1), Charge(USER, 1)))])
    assert balances(ledger) == [(0, 2**53 - 1), (0, 0)]


def test_a_denial_says_which_turn_it_was(ledger: RedisLedger) -> None:
    """Everyone's slot knows nothing of turns."""
    ledger.execute([OpenTurn("acme", "s1", "t7", 7)])
    (reply,) = ledger.execute([Reserve("r", (Charge(EVERYONE, 2, 1), Charge(TURN, 2, 5)))])
    assert isinstance(reply, Denied)
    assert (reply.charge.account, reply.turn, reply.turn_seq) == (EVERYONE, "t7", 7)


def test_who_dies_between_the_steps_leaves_an_orphan(
    redis_server: RedisServer, ledger: RedisLedger, clock: FakeClock, prefix: str
) -> None:
    """It is charged when its lease ends: too much, and never too little."""
    ledger.execute([Read(BOTH)])
    dying = RedisLedger(DiesBetween(redis_server.url, 3), clock, prefix=prefix, slots="tenant", tenant="acme")
    with pytest.raises(KeyboardInterrupt):
        dying.execute([Reserve("r", charges(30))])
    assert balances(ledger) == [(0, 0), (0, 30)]
    clock.advance(300)
    assert ledger.execute([Expire()]) == [1]
    assert balances(ledger) == [(0, 0), (30, 0)]


def test_who_comes_back_finishes_what_was_half_done(
    redis_server: RedisServer, ledger: RedisLedger, clock: FakeClock, prefix: str
) -> None:
    """The same id again: the first step is known, the second is made."""
    ledger.execute([Read(BOTH)])
    dying = RedisLedger(DiesBetween(redis_server.url, 3), clock, prefix=prefix, slots="tenant", tenant="acme")
    with pytest.raises(KeyboardInterrupt):
        dying.execute([Reserve("r", charges(30))])
    assert ledger.execute([Reserve("r", charges(30))]) == [Granted("r", (30, 30))]
    assert balances(ledger) == [(0, 30)] * 2


def test_another_process_of_the_tenant_can_close_it(
    ledger: RedisLedger, link: RedisLink, clock: FakeClock, prefix: str
) -> None:
    """It knows the id alone, and looks with its tenant's accounts and with everyone's."""
    ledger.execute([Reserve("a", charges(30)), Reserve("b", charges(30))])
    other = RedisLedger(link, clock, prefix=prefix, slots="tenant", tenant="acme")
    other.execute([Settle("a", {"usd": 10}), Release("b")])
    assert balances(ledger) == [(10, 0)] * 2
    with pytest.raises(ReservationConflict):
        other.execute([Settle("never")])


def test_a_late_reservation_of_a_released_id_is_a_conflict_in_both(ledger: RedisLedger) -> None:
    """The tombstone stands in both slots."""
    ledger.execute([Release("late")])
    for wanted in (charges(3), charges(3)[:1], charges(3)[1:]):
        with pytest.raises(ReservationConflict):
            ledger.execute([Reserve("late", wanted)])


def test_a_reservation_in_two_slots_is_read_as_one(ledger: RedisLedger) -> None:
    """By its tenant; another's is not shown, although a part of it is on everyone's account."""
    ledger.execute([Reserve("r", charges(30))])
    mine, theirs = ledger.execute([Holds("acme"), Holds("other")])
    assert isinstance(mine, Page)
    assert isinstance(theirs, Page)
    assert [(each.id, sorted(each.granted)) for each in mine.items] == [("r", [30, 30])]  # type: ignore[union-attr]
    assert theirs.items == ()


def test_a_flush_of_one_slots_server_closes_that_one(
    ledger: RedisLedger, redis_server: RedisServer, prefix: str
) -> None:
    """Each slot has its epoch; the tenant's own books go on."""
    ledger.execute([Reserve("r", charges(30)), Settle("r")])
    redis_server.tell("DEL", *redis_server.client().scan_iter(f"{{{prefix}:budget:b}}*"))
    with pytest.raises(BudgetUnavailable, match="gone"):
        balances(ledger)
    assert isinstance(ledger.execute([Reserve("s", charges(30)[1:])])[0], Granted)


def spend(ledger: RedisLedger, worker: int) -> tuple[int, int]:
    """Make calls for one of seven tenants; its number, and what they cost."""
    dice, cost, tenant = random.Random(worker), 0, f"tenant-{worker % 7}"
    account = Account(tenant, "user", "42", "usd", "day")
    for call in range(12):
        held, id = dice.randint(1, 30), f"{worker}-{call}"
        (reply,) = ledger.execute([Reserve(id, (Charge(account, held, 300), Charge(EVERYONE, held, 1_500)))])
        if isinstance(reply, Granted):
            actual = dice.randint(0, held)
            ledger.execute([Settle(id, {"usd": actual})])
            cost += actual
    return worker % 7, cost


def test_a_clusters_servers_share_the_tenants_and_nobody_overspends(redis_cluster: RedisCluster, prefix: str) -> None:
    """Three masters, seven tenants, thirty-two workers."""
    client = redis.RedisCluster(host=HOST, port=redis_cluster.nodes[0].port)
    link = RedisLink(client, deadline=60.0)
    client.close()
    ledger = RedisLedger(link, FakeClock(), prefix=prefix, slots="tenant")
    tags = [f"{{{prefix}:budget:atenant-{number}}}" for number in range(7)]
    assert len({redis_cluster.holder(key_slot(tag[1:-1].encode())).port for tag in tags}) > 1
    with ThreadPoolExecutor(32) as pool:
        costs = list(pool.map(lambda worker: spend(ledger, worker), range(32)))
    accounts = tuple(Account(f"tenant-{number}", "user", "42", "usd", "day") for number in range(7))
    (found,) = ledger.execute([Read((EVERYONE, *accounts))])
    link.close()
    assert isinstance(found, tuple)
    expected = [sum(cost for _, cost in costs), *(sum(c for t, c in costs if t == number) for number in range(7))]
    assert [(each.spent, each.reserved) for each in found] == [(total, 0) for total in expected]  # type: ignore[union-attr]
    assert expected[0] <= 1_500
    assert max(expected[1:]) <= 300
