"""A ledger that goes on while the shared one is away: within its cap, and nothing is forgotten or charged twice."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Iterator, Sequence
from random import Random
from typing import Any, Final, Literal, TypeAlias

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langgraph_guard import BudgetExceeded
from langgraph_guard.backends import Backend, MemoryBackend
from langgraph_guard.backends.local import FallbackLedger, journal
from langgraph_guard.backends.local.ledger import BATCH, REJOIN
from langgraph_guard.backends.memory import MemoryLedger
from langgraph_guard.errors import BudgetUnavailable, InvalidAmount, ReservationConflict
from langgraph_guard.events import subscribe
from langgraph_guard.policies.budget import Budget, Identity, Limit, allow_local
from langgraph_guard.policies.calls import Call, denial, plan
from langgraph_guard.policies.ledger import (
    Account,
    Audit,
    Charge,
    Closed,
    Command,
    Denied,
    EnsureAtLeast,
    Expire,
    Extend,
    Freeze,
    Granted,
    OpenTurn,
    Owner,
    Read,
    Reply,
    Reserve,
    Settle,
    Wait,
)
from langgraph_guard.testing import FakeClock
from langgraph_guard.testing.contracts import LedgerContract
from langgraph_guard.testing.contracts.ledger.harness import SESSION, TENANT, THE_TURN, USER, WAYS, Till, Way, driven

CAP: Final = 100
LIMIT: Final = 1_000

Cut: TypeAlias = Literal["request", "reply"]


class Line:
    """A ledger at the end of a line. Cut, a command does not arrive, or its reply does not."""

    instant = False

    def __init__(self, far: MemoryLedger) -> None:
        self.far = far
        self.cut: Cut | None = None
        self.cuts: Iterator[Cut | None] = iter(())
        self.asked = 0
        self.slow: asyncio.Event | None = None
        self.broken = ""

    def execute(self, commands: Sequence[Command]) -> list[Reply]:
        self.asked += 1
        return [self._one(command) for command in commands]

    async def aexecute(self, commands: Sequence[Command]) -> list[Reply]:
        if self.slow is not None:
            await self.slow.wait()
        return self.execute(commands)

    def _one(self, command: Command) -> Reply:
        cut = next(self.cuts, self.cut)
        if cut == "request":
            raise BudgetUnavailable("line", 2.0)
        if self.broken and getattr(command, "id", "") == self.broken:
            raise BudgetUnavailable("line") from ValueError("no row of ours")
        reply = self.far.execute([command])[0]
        if cut == "reply":
            raise BudgetUnavailable("line", 2.0)
        return reply


class Shop:
    """A worker: its ledger, the shared one, and the line between them."""

    def __init__(self, way: Way = "execute", till: Till | None = None) -> None:
        self.clock = FakeClock()
        self.far = MemoryLedger(self.clock)
        self.line = Line(self.far)
        self.ledger = FallbackLedger(self.line, self.clock)
        self.till = till or Till(self.ledger.execute)
        self.shared = Till(self.far.execute)

    def away(self) -> None:
        self.line.cut = "request"

    def back(self) -> None:
        """Back, and asked: by a look that concerns nobody."""
        self.line.cut = None
        self.clock.advance(REJOIN)
        self.till.send([Read((SESSION,), local=True)])

    def spend(self, id: str, amount: int, *accounts: Account) -> Granted | Denied:
        reply = self.till.reserve(id, *(Charge(each, amount, LIMIT, local=CAP) for each in accounts or (SESSION,)))
        if isinstance(reply, Granted):
            self.till.settle(id, usd=amount)
        return reply


@pytest.fixture(params=WAYS)
def shop(request: pytest.FixtureRequest) -> Iterator[Shop]:
    """A worker, driven in both ways."""
    shop = Shop()
    with driven(shop.ledger, request.param) as shop.till:
        yield shop


@pytest.fixture
def heard() -> Iterator[list[tuple[str, dict[str, Any]]]]:
    """What was said while the test ran."""
    said: list[tuple[str, dict[str, Any]]] = []
    stop = subscribe(lambda name, attributes: said.append((name, dict(attributes))))
    yield said
    stop()


def charge(amount: int, **terms: Any) -> Charge:
    """One of the session."""
    return Charge(SESSION, amount, **{"limit": LIMIT, "local": CAP, **terms})


# While the ledger answers


class TestFallbackLedger(LedgerContract):
    """Around a ledger that answers, it is that ledger."""

    def make_backend(self, clock: FakeClock, tenant: str) -> Backend:
        backend = MemoryBackend(tenant=tenant, clock=clock)
        backend.ledger = FallbackLedger(backend.ledger, clock)  # type: ignore[assignment]
        return backend


def test_a_batch_stays_one(shop: Shop) -> None:
    """A store may answer a batch in one round trip; taken apart, each look of a gate would cost several."""
    shop.till.send([Read((SESSION,)), Read((USER,)), Expire()])
    assert shop.line.asked == 1


# While it is away


def test_a_process_goes_on_up_to_its_cap(shop: Shop) -> None:
    """The bound that is promised: what N processes may spend beyond the limit is N times this."""
    shop.away()
    replies = [shop.spend(f"r{at}", 30) for at in range(5)]
    assert [isinstance(each, Granted) for each in replies] == [True, True, True, False, False]


def test_a_limit_that_denies_is_refused_as_before(shop: Shop) -> None:
    """Fail closed is the default, and one limit of a call that says so is enough."""
    shop.away()
    with pytest.raises(BudgetUnavailable):
        shop.till.reserve("r", charge(1), Charge(USER, 1, LIMIT))
    assert shop.ledger.pending == 0


def test_a_denial_names_the_charge_as_it_was_asked_for(shop: Shop) -> None:
    """The meter finds the limit behind a denial by its charge; what is out of reach meanwhile counts as held."""
    shop.away()
    shop.spend("r0", 90)
    denied = shop.spend("r1", 30)
    assert isinstance(denied, Denied)
    assert (denied.charge, denied.balance.spent, denied.balance.reserved) == (charge(30), 90, LIMIT - CAP)


def test_a_budget_tells_its_denial_by_the_limit_of_its_owner() -> None:
    """From the limit as it is written to the error that a run reads, with nothing in between that knows of outages."""
    shop = Shop()
    budget = Budget([Limit("usd", 0.001, per="session", on_unavailable=allow_local(0.0001))])
    who = Identity(TENANT, "run", {"session": "s1"})
    ask = plan(budget, who, Call(10, 10, 10), lambda input, output: 60, aside=False)
    shop.away()
    shop.till.reserve("r0", *ask.charges)
    denied = shop.till.reserve("r1", *ask.charges)
    assert isinstance(denied, Denied)
    limit = ask.limit_of(denied.charge)
    assert limit is not None
    assert isinstance(denial(denied, limit), BudgetExceeded)


def test_less_is_granted_where_less_will_do(shop: Shop) -> None:
    """An answer that is cut to the cap is better than none."""
    shop.away()
    assert not isinstance(shop.spend("r0", 90), Denied)
    granted = shop.till.reserve("r1", charge(30, at_least=5))
    assert isinstance(granted, Granted)
    assert granted.amounts == (10,)


def test_what_the_checkpoint_knows_counts_against_the_limit(shop: Shop) -> None:
    """A session that has used up its limit does not get the cap on top of it."""
    shop.away()
    shop.till.send([EnsureAtLeast(SESSION, LIMIT - 10, local=True)])
    assert isinstance(shop.spend("r0", 30), Denied)
    assert isinstance(shop.spend("r1", 10), Granted)
    assert shop.till.send([Read((SESSION,), local=True)]) == [((LIMIT, 0, "", 0, False),)]


def test_a_checkpoint_that_knows_the_outage_does_not_count_it_twice(shop: Shop) -> None:
    """The next run of a session brings what this process spent by itself."""
    shop.away()
    shop.spend("r0", 40)
    shop.till.send([EnsureAtLeast(SESSION, 40, local=True)])
    assert shop.till.send([Read((SESSION,), local=True)]) == [((40, 0, "", 0, False),)]


def test_a_turn_is_opened_and_read_by_itself(shop: Shop) -> None:
    """A run that begins in an outage counts its own turn."""
    shop.away()
    shop.till.send([OpenTurn(TENANT, "s1", "turn-1", 1, local=True)])
    shop.spend("r0", 40, SESSION, THE_TURN)
    (balances,) = shop.till.send([Read((THE_TURN,), local=True)])
    assert balances == ((40, 0, "turn-1", 0, False),)


def test_what_people_do_is_never_done_alone(shop: Shop) -> None:
    """A freeze that only one process knows of would be a lie."""
    shop.away()
    shop.spend("r0", 1)
    for command in (Freeze(Owner(TENANT, "user", "42"), by="ops"), Audit(TENANT), Expire(), Read((SESSION,))):
        with pytest.raises(BudgetUnavailable):
            shop.till.send([command])


def test_a_heartbeat_finds_its_own_reservation(shop: Shop) -> None:
    """A stream that began in the outage goes on in it."""
    shop.away()
    shop.till.reserve("r0", charge(1))
    assert shop.till.send([Extend("r0")]) == [True]
    with pytest.raises(BudgetUnavailable):
        shop.till.send([Extend("made before")])


def test_a_wait_looks_at_the_room_that_there_is_here(shop: Shop) -> None:
    """With the room of the whole limit in sight, a queue would ask in a circle."""
    shop.away()
    shop.till.reserve("r0", charge(CAP))
    shop.till.send([Wait(3.0, (charge(30),))])
    assert sum(shop.clock.slept) == 3.0


def test_the_ledger_is_asked_now_and_then_alone(shop: Shop) -> None:
    """Each question costs a call its time-out: a hundred calls a second must not each pay it."""
    shop.away()
    shop.spend("r0", 1)
    asked = shop.line.asked
    for at in range(20):
        shop.spend(f"more-{at}", 1)
    quiet = shop.line.asked - asked
    shop.clock.advance(REJOIN)
    shop.spend("later", 1)
    assert (quiet, shop.line.asked - asked) == (0, 1)


async def test_one_call_asks_and_the_others_do_not_wait_for_it() -> None:
    """A question may take as long as its time-out; a hundred tasks have better things to do."""
    shop = Shop()
    shop.away()
    shop.spend("r0", 1)
    shop.clock.advance(REJOIN)
    shop.line.slow = asyncio.Event()
    asks = asyncio.create_task(shop.ledger.aexecute([Reserve("r1", (charge(1),))]))
    await asyncio.sleep(0)
    others = [await shop.ledger.aexecute([Reserve(f"other-{at}", (charge(1),))]) for at in range(3)]
    shop.line.slow.set()
    await asks
    assert [isinstance(each, Granted) for (each,) in others] == [True] * 3


async def test_a_call_that_ends_while_it_is_charged_is_settled() -> None:
    """Its reservation is on the way when its end comes; neither may be lost."""
    shop = Shop()
    shop.away()
    shop.till.reserve("r0", charge(90))
    shop.line.cut = None
    shop.clock.advance(REJOIN)
    shop.line.slow = asyncio.Event()
    asks = asyncio.create_task(shop.ledger.aexecute([Read((SESSION,), local=True)]))
    await asyncio.sleep(0)
    await shop.ledger.aexecute([Settle("r0", {"usd": 20})])
    shop.line.slow.set()
    await asks
    shop.back()
    assert (shop.shared.balance(SESSION), shop.ledger.pending) == ((20, 0), 0)


async def test_what_is_spent_while_the_ledger_answers_is_charged_next() -> None:
    """One call hears that it is back; another has gone on by itself in that moment."""
    shop = Shop()
    shop.away()
    shop.till.send([Read((SESSION,), local=True)])
    shop.line.cut = None
    shop.clock.advance(REJOIN)
    shop.line.slow = asyncio.Event()
    asks = asyncio.create_task(shop.ledger.aexecute([Read((SESSION,), local=True)]))
    await asyncio.sleep(0)
    shop.spend("r0", 7)
    shop.line.slow.set()
    await asks
    shop.till.send([Read((SESSION,), local=True)])
    assert (shop.shared.balance(SESSION), shop.ledger.pending) == ((7, 0), 0)


async def test_a_call_that_is_cancelled_while_it_asks_leaves_the_question_to_others() -> None:
    """People go away; the ledger must be found again all the same."""
    shop = Shop()
    shop.away()
    shop.spend("r0", 7)
    shop.clock.advance(REJOIN)
    shop.line.slow = asyncio.Event()
    asks = asyncio.create_task(shop.ledger.aexecute([Read((SESSION,), local=True)]))
    await asyncio.sleep(0)
    asks.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asks
    shop.line.cut = None
    shop.spend("r1", 7)
    assert (shop.shared.balance(SESSION), shop.ledger.pending) == ((14, 0), 0)


def test_a_clock_that_goes_back_does_not_keep_it_away(shop: Shop) -> None:
    """Clocks are corrected; by a year, too."""
    shop.away()
    shop.spend("r0", 1)
    shop.line.cut = None
    shop.clock.set(shop.clock.now() - 86_400)
    shop.spend("r1", 1)
    assert shop.ledger.pending == 0


def test_a_full_journal_refuses(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """What cannot be noted would never be charged."""
    monkeypatch.setattr(journal, "MOST", 3)
    shop.away()
    for at in range(3):
        shop.spend(f"r{at}", 1)
    with pytest.raises(BudgetUnavailable, match="full"):
        shop.spend("one more", 1)


@pytest.mark.parametrize("amount", [-1, 1.5, 2**53])
def test_a_wrong_amount_is_refused_at_once(shop: Shop, amount: Any) -> None:
    """Noted, it would be found when nobody can correct it."""
    shop.till.reserve("before", charge(1))
    shop.away()
    with pytest.raises(InvalidAmount):
        shop.till.settle("before", usd=amount)


# When it is back


def test_what_was_spent_is_charged(shop: Shop) -> None:
    """To the micro-dollar, on each account."""
    shop.away()
    for at in range(3):
        shop.spend(f"r{at}", 30, SESSION, USER)
    shop.back()
    assert (shop.shared.balances(SESSION, USER), shop.ledger.pending) == ([(90, 0), (90, 0)], 0)


def test_what_was_denied_is_not_charged(shop: Shop) -> None:
    """Also where the ledger heard the question, and only its answer was lost."""
    shop.spend("before", LIMIT - 50)
    shop.line.cut = "reply"
    with pytest.raises(BudgetUnavailable):  # it is held over there, so this is no denial: the caller closes it
        shop.till.reserve("r0", charge(CAP + 1, limit=LIMIT + CAP))
    shop.till.release("r0")
    shop.back()
    assert shop.shared.balance(SESSION) == (LIMIT - 50, 0)


def test_a_reservation_whose_answer_was_lost_is_charged_once(shop: Shop) -> None:
    """It is held there and here under one id."""
    shop.line.cut = "reply"
    assert isinstance(shop.spend("r0", 30), Granted)
    shop.back()
    assert shop.shared.balance(SESSION) == (30, 0)


def test_one_that_was_granted_more_over_there_is_still_the_same(shop: Shop) -> None:
    """The lost answer said 150, the cap says 100, and the call cost 60."""
    shop.line.cut = "reply"
    granted = shop.till.reserve("r0", charge(CAP + 50, at_least=5))
    shop.till.settle("r0", usd=60)
    shop.back()
    assert isinstance(granted, Granted)
    assert (granted.amounts, shop.shared.balance(SESSION)) == ((CAP,), (60, 0))


@pytest.mark.parametrize("cut", ["request", "reply"])
def test_one_that_was_granted_less_settles_at_that(shop: Shop, cut: Cut) -> None:
    """An answer without usage costs what was held for it here, whatever is held over there."""
    shop.line.cut = cut
    shop.till.reserve("r0", charge(CAP + 50, at_least=5))
    shop.till.settle("r0")
    shop.back()
    assert shop.shared.balance(SESSION) == (CAP, 0)


def test_one_that_was_made_before_is_settled(shop: Shop) -> None:
    """Otherwise it would be charged in full when its lease ends."""
    shop.till.reserve("before", charge(90))
    shop.away()
    assert shop.till.settle("before", usd=20) == Closed("before")
    shop.back()
    assert shop.shared.balance(SESSION) == (20, 0)


def test_one_that_was_made_before_is_settled_whatever_its_limit_says(shop: Shop) -> None:
    """To tell what something cost needs no room."""
    shop.till.reserve("before", Charge(SESSION, 90, LIMIT))
    shop.away()
    shop.till.settle("before", usd=20)
    shop.back()
    assert shop.shared.balance(SESSION) == (20, 0)


def test_a_call_that_is_still_under_way_is_held_there(shop: Shop) -> None:
    """From then on it is a reservation like the others, and settles where it is held."""
    shop.away()
    shop.till.reserve("r0", charge(90))
    shop.back()
    held = shop.shared.balance(SESSION)
    shop.till.settle("r0", usd=20)
    assert (held, shop.shared.balance(SESSION)) == ((0, 90), (20, 0))


def test_a_released_call_costs_nothing(shop: Shop) -> None:
    """Nothing was sent, so nothing is owed."""
    shop.away()
    shop.till.reserve("r0", charge(90))
    shop.till.release("r0")
    shop.back()
    assert shop.shared.balance(SESSION) == (0, 0)


def test_what_was_spent_is_charged_beyond_the_limit(shop: Shop) -> None:
    """It was spent; a limit that hides it would let others spend it again. Nobody did it by hand."""
    shop.spend("before", LIMIT - 10)
    shop.away()
    shop.spend("r0", 90)
    shop.back()
    assert (shop.shared.balance(SESSION), shop.far.execute([Audit(TENANT)])) == ((LIMIT + 80, 0), [()])


def test_the_turn_of_a_call_is_the_one_it_was_made_in(shop: Shop) -> None:
    """Also when the session has gone on to the next."""
    shop.away()
    shop.till.send([OpenTurn(TENANT, "s1", "turn-1", 1, local=True)])
    shop.spend("r0", 40, THE_TURN)
    shop.till.send([OpenTurn(TENANT, "s1", "turn-2", 2, local=True)])
    shop.spend("r1", 5, THE_TURN)
    shop.back()
    found = shop.far.execute([Read((THE_TURN,), turn="turn-1"), Read((THE_TURN,))])
    assert found == [((40, 0, "turn-1", 0, False),), ((5, 0, "turn-2", 0, False),)]


def test_a_return_that_fails_midway_loses_nothing(shop: Shop) -> None:
    """A server that comes up, takes some, and goes again: each entry is charged, and once."""
    shop.away()
    for at in range(CAP):
        shop.spend(f"r{at}", 1)
    for step in range(4 * CAP // BATCH):
        shop.line.cuts = iter([None] * (BATCH - 1) + ["reply" if step % 2 else "request"])  # type: ignore[list-item]
        shop.clock.advance(REJOIN)
        shop.till.send([Read((SESSION,), local=True)])
    shop.back()
    assert (shop.shared.balance(SESSION), shop.ledger.pending) == ((CAP, 0), 0)


def test_what_can_never_be_charged_is_said_and_not_tried_for_ever(
    shop: Shop, heard: list[tuple[str, dict[str, Any]]], caplog: pytest.LogCaptureFixture
) -> None:
    """One bad entry must not keep the others, nor the process, away."""
    shop.away()
    shop.till.settle("nobody made it", usd=5)
    shop.spend("r0", 7)
    with caplog.at_level(logging.ERROR):
        shop.back()
    assert (shop.shared.balance(SESSION), shop.ledger.pending) == ((7, 0), 0)
    assert [(said["charged"], said["lost"]) for name, said in heard if name == "budget.back"] == [(1, 1)]
    assert "cannot be charged" in caplog.text


def test_a_row_that_cannot_be_read_is_no_outage(shop: Shop) -> None:
    """The ledger is there; one broken account must not put the others on their own, nor stand in the way for ever."""
    shop.till.reserve("broken", charge(1))
    shop.line.broken = "broken"
    with pytest.raises(BudgetUnavailable):
        shop.till.settle("broken", usd=1)
    before = shop.ledger.pending
    shop.away()
    shop.till.settle("broken", usd=1)
    shop.spend("r0", 7)
    shop.back()
    assert (before, shop.ledger.pending, shop.shared.balance(SESSION)) == (0, 0, (7, 1))


def test_a_frozen_owner_is_charged_by_hand(shop: Shop) -> None:
    """Whoever froze it sees in the record what had been spent by then."""
    shop.away()
    shop.spend("r0", 7)
    shop.far.execute([Freeze(Owner(TENANT, "session", "s1"), by="ops")])
    shop.back()
    (deeds,) = shop.far.execute([Audit(TENANT)])
    assert shop.shared.balance(SESSION) == (7, 0)
    assert [(deed.action, deed.spent, deed.by) for deed in deeds][1:] == [("adjust", 7, "langgraph_guard")]  # type: ignore[union-attr]


def test_a_frozen_owner_is_charged_the_most_for_a_call_under_way(shop: Shop) -> None:
    """It can be held for nobody who is frozen, and it is not free."""
    shop.away()
    shop.till.reserve("r0", charge(90))
    shop.far.execute([Freeze(Owner(TENANT, "session", "s1"), by="ops")])
    shop.back()
    assert (shop.shared.balance(SESSION), shop.ledger.pending) == ((90, 0), 0)


def test_an_outage_is_said_once_and_its_end_too(shop: Shop, heard: list[tuple[str, dict[str, Any]]]) -> None:
    """Somebody is to be woken once, and told when to sleep on."""
    shop.away()
    shop.spend("r0", 7)
    shop.spend("r1", 7)
    shop.back()
    told = [said for said in heard if said[0] in ("budget.away", "budget.back")]
    away = ("budget.away", {"backend": "line"})
    assert told == [away, ("budget.back", {"seconds": REJOIN, "charged": 2, "lost": 0})]


def test_the_next_outage_has_its_cap_again(shop: Shop) -> None:
    """The bound is per outage: what was spent in the last one is charged by now."""
    for outage in range(2):
        shop.away()
        shop.clock.advance(REJOIN)
        assert isinstance(shop.spend(f"r{outage}", CAP), Granted)
        shop.back()
    assert shop.shared.balance(SESSION) == (2 * CAP, 0)


def test_calls_that_may_not_go_on_find_out_that_it_is_back(shop: Shop) -> None:
    """They ask each time, so nobody needs to wait for them."""
    shop.away()
    shop.spend("r0", 7)
    shop.line.cut = None
    shop.till.reserve("closed", Charge(USER, 1, LIMIT))
    shop.spend("r1", 7)
    assert (shop.shared.balance(SESSION), shop.ledger.pending) == ((14, 0), 0)


def test_the_end_of_a_process_charges_what_it_can(shop: Shop) -> None:
    """A worker that is replaced during an outage may find the ledger back when it leaves."""
    shop.away()
    shop.spend("r0", 7)
    left = shop.ledger.rejoin()
    shop.line.cut = None
    assert (left, shop.ledger.rejoin(), shop.shared.balance(SESSION)) == (1, 0, (7, 0))


async def test_the_end_of_an_event_loop_does_so_too() -> None:
    """On the connections that belong to it."""
    shop = Shop()
    shop.away()
    shop.spend("r0", 7)
    shop.line.cut = None
    assert (await shop.ledger.arejoin(), shop.shared.balance(SESSION)) == (0, (7, 0))


def test_a_call_is_closed_in_one_way_alone(shop: Shop) -> None:
    """What is noted twice, and differently, is somebody's mistake, and said at once as ever."""
    shop.till.reserve("before", charge(90))
    shop.away()
    shop.till.settle("before", usd=20)
    shop.till.settle("before", usd=20)
    with pytest.raises(ReservationConflict):
        shop.till.settle("before", usd=21)
    with pytest.raises(ReservationConflict):
        shop.till.release("before")


def test_a_closing_that_falls_into_a_look_at_the_journal_comes_next() -> None:
    """The garbage collector ends an abandoned stream wherever it runs: also in here, waiting for itself."""
    shop = Shop()
    shop.till.reserve("before", charge(90))
    shop.away()
    with shop.ledger._lock:
        assert shop.ledger.execute([Settle("before", {"usd": 20})]) == [Closed("before")]
    shop.back()
    assert shop.shared.balance(SESSION) == (20, 0)


# Whatever happens

Step: TypeAlias = tuple[int, int, Cut | None, bool]
"""What a call asks for, what it costs, what becomes of the line meanwhile, and whether it ends at once."""


@given(
    st.lists(
        st.tuples(
            st.integers(0, 40), st.integers(0, 40), st.sampled_from([None, None, "request", "reply"]), st.booleans()
        ),
        max_size=40,
    )
)
def test_whatever_the_line_does_the_sum_is_what_was_spent(steps: list[Step]) -> None:
    """Lost requests, lost answers, calls that end later, in any order: afterwards the ledger is exact."""
    shop = Shop()
    spent = 0
    later: dict[str, int] = {}
    for at, (asked, cost, cut, at_once) in enumerate(steps):
        shop.line.cut = cut
        shop.clock.advance(REJOIN / 2)
        id = f"r{at}"
        try:
            reply = shop.till.reserve(id, charge(asked), Charge(USER, asked, local=CAP))
        except BudgetUnavailable:
            shop.till.release(id)
            continue
        if isinstance(reply, Granted):
            spent += cost
            later[id] = cost
        while later and (at_once or at == len(steps) - 1):
            ended, used = later.popitem()
            shop.till.settle(ended, usd=used)
    for ended, used in later.items():
        shop.till.settle(ended, usd=used)
    shop.back()
    assert (shop.shared.balances(SESSION, USER), shop.ledger.pending) == ([(spent, 0)] * 2, 0)


def test_threads_that_come_and_go_with_the_line_lose_nothing() -> None:
    """One of them begins the outage, one ends it, and the others are in the middle of their calls."""
    shop = Shop()
    spent: list[int] = []
    stop = threading.Event()

    def work(seed: int) -> None:
        random = Random(seed)
        for at in range(150):
            id, cost = f"{seed}-{at}", random.randint(0, 3)
            try:
                reply = shop.till.reserve(id, Charge(SESSION, 3, 10**6, local=10**6))
            except BudgetUnavailable:
                shop.till.release(id)
                continue
            assert isinstance(reply, Granted)
            spent.append(cost)
            shop.till.settle(id, usd=cost)

    def cut() -> None:
        random = Random(7)
        while not stop.is_set():
            shop.line.cut = random.choice([None, "request", "reply"])
            shop.clock.advance(REJOIN)
            stop.wait(0.001)

    workers = [threading.Thread(target=work, args=(seed,)) for seed in range(8)]
    cutter = threading.Thread(target=cut)
    for thread in (*workers, cutter):
        thread.start()
    for thread in workers:
        thread.join()
    stop.set()
    cutter.join()
    shop.back()
    assert (shop.shared.balance(SESSION), shop.ledger.pending) == ((sum(spent), 0), 0)
