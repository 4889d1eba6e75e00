"""Which books these are: a server that was flushed, restored or is full may not become a new budget for everyone."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from typing import Any, Final, TypeAlias

import pytest

from langgraph_guard._redis import RedisLink
from langgraph_guard.backends.redis.ledger import RedisLedger
from langgraph_guard.errors import BudgetUnavailable, ConfigError, InvalidAmount
from langgraph_guard.policies.ledger import (
    RUN,
    Account,
    Adjust,
    Audit,
    Charge,
    Closed,
    Denied,
    EnsureAtLeast,
    Expire,
    Extend,
    Freeze,
    Granted,
    OpenTurn,
    Owner,
    Read,
    Release,
    Reserve,
    Settle,
    Thaw,
)
from langgraph_guard.testing import FakeClock
from tests.servers.redis import RedisServer

USER: Final = Account("acme", "user", "42", "usd", "day")
SESSION: Final = Account("acme", "session", "s1", "usd")
EVERYONE: Final = Account("", "global", "", "usd", "hour")
SECRET: Final = "canary-5f0c"

Open: TypeAlias = Callable[..., RedisLedger]


@pytest.fixture
def own_server() -> Iterator[RedisServer]:
    """A server that the test may flush, fill and stop."""
    with RedisServer() as server:
        yield server


@pytest.fixture
def open_ledger(own_server: RedisServer, prefix: str) -> Iterator[Open]:
    """Makes ledgers on one key space; each is a process that just started."""
    links: list[RedisLink] = []

    def make(url: str = "", **options: Any) -> RedisLedger:
        links.append(RedisLink.from_url(url or own_server.url))
        return RedisLedger(links[-1], **{"prefix": prefix, **options})

    yield make
    for link in links:
        link.close()


def spent(ledger: RedisLedger, account: Account = SESSION) -> tuple[int, int]:
    """What an account has spent, and what is held on it."""
    ((balance,),) = ledger.execute([Read((account,))])  # type: ignore[misc]
    return balance.spent, balance.reserved  # type: ignore[union-attr, attr-defined]


def spend(ledger: RedisLedger, cost: int = 7, account: Account = SESSION) -> None:
    """One call."""
    id = secrets.token_hex(8)
    (reply, _) = ledger.execute([Reserve(id, (Charge(account, cost),)), Settle(id)])
    assert isinstance(reply, Granted)


# Which books


def test_a_flushed_server_is_closed_to_those_who_knew_it(own_server: RedisServer, open_ledger: Open) -> None:
    """FLUSHALL is no new budget: whoever spent before refuses to go on at zero."""
    ledger = open_ledger()
    spend(ledger)
    own_server.flush()
    with pytest.raises(BudgetUnavailable, match="gone"):
        ledger.execute([Reserve("r", (Charge(SESSION, 1, 10),))])
    with pytest.raises(BudgetUnavailable, match="gone"):
        ledger.execute([Read((SESSION,))])
    assert own_server.tell("DBSIZE") == 0


def test_books_that_somebody_began_anew_are_not_ours(own_server: RedisServer, open_ledger: Open) -> None:
    """A process that starts after the flush knows nothing better; the others do, and say so."""
    old = open_ledger()
    spend(old)
    own_server.flush()
    spend(open_ledger())
    with pytest.raises(BudgetUnavailable, match="not those"):
        old.execute([Read((SESSION,))])


def test_books_of_an_older_state_are_not_ours(own_server: RedisServer, open_ledger: Open) -> None:
    """A backup from before the ledger was begun anew."""
    spend(open_ledger(), 3)
    backup = own_server.tell("DUMP", next(iter(own_server.client().scan_iter("*:m"))))
    key = next(iter(own_server.client().scan_iter("*:m")))
    own_server.flush()
    ledger = open_ledger()
    spend(ledger)
    own_server.flush()
    own_server.tell("RESTORE", key, 0, backup)
    with pytest.raises(BudgetUnavailable, match="not those"):
        ledger.execute([Read((SESSION,))])


def test_reopening_goes_on_from_what_there_is_in_every_process(own_server: RedisServer, open_ledger: Open) -> None:
    """One person decides once, and does not have to restart a fleet."""
    one, other = open_ledger(), open_ledger()
    spend(one)
    spend(other)
    own_server.flush()
    one.reopen("ada", "the flush was mine")
    spend(other, 5)
    assert spent(one) == (5, 0)


def test_reopening_is_audited(open_ledger: Open) -> None:
    """Money was forgotten: who decided that?"""
    ledger = open_ledger()
    spend(ledger)
    ledger.reopen("ada", "restored the backup of noon")
    (deeds,) = ledger.execute([Audit("acme")])
    assert [(deed.action, deed.by, deed.reason) for deed in deeds] == [  # type: ignore[union-attr]
        ("reopen", "ada", "restored the backup of noon")
    ]
    assert spent(ledger) == (7, 0)


def test_what_was_accepted_before_a_newer_beginning_is_not_adopted(own_server: RedisServer, open_ledger: Open) -> None:
    """An old state that somebody accepted once, restored after it was given up."""
    first = open_ledger()
    first.reopen("ada")
    key = next(iter(own_server.client().scan_iter("*:m")))
    backup = own_server.tell("DUMP", key)
    first.reopen("ada", "again")
    own_server.flush()
    own_server.tell("RESTORE", key, 0, backup)
    with pytest.raises(BudgetUnavailable, match="not those"):
        first.execute([Read((SESSION,))])


def test_who_may_not_begin_books_does_not(own_server: RedisServer, open_ledger: Open) -> None:
    """`create=False`: for fleets whose ledger an operator begins."""
    careful = open_ledger(create=False)
    with pytest.raises(BudgetUnavailable, match="create=False"):
        careful.execute([Reserve("r", (Charge(SESSION, 1, 10),))])
    assert own_server.tell("DBSIZE") == 0
    spend(open_ledger())
    assert spent(careful) == (7, 0)


def test_a_rest_of_books_is_no_beginning(own_server: RedisServer, open_ledger: Open) -> None:
    """Reservations without the key that says whose they are: something was evicted."""
    open_ledger().execute([Reserve("r", (Charge(SESSION, 1, 10),))])
    own_server.tell("DEL", next(iter(own_server.client().scan_iter("*:m"))))
    with pytest.raises(BudgetUnavailable, match="part of its books"):
        open_ledger().execute([Read((SESSION,))])


def test_books_of_another_format_are_left_alone(own_server: RedisServer, open_ledger: Open) -> None:
    """A newer release may have written what this one would misread."""
    ledger = open_ledger()
    spend(ledger)
    own_server.tell("HSET", next(iter(own_server.client().scan_iter("*:m"))), "v", "2")
    with pytest.raises(BudgetUnavailable, match="another version"):
        ledger.execute([Reserve("r", (Charge(SESSION, 1, 10),))])


# Full servers, foreign keys, refusals


def four(amount: int) -> tuple[Charge, ...]:
    """The same charge on four owners."""
    owners = (SESSION, USER, Account("acme", "tenant", "", "usd", "month"), EVERYONE)
    return tuple(Charge(account, amount, 10_000) for account in owners)


def fill(server: RedisServer) -> None:
    """Until it takes no more."""
    server.tell("CONFIG", "SET", "maxmemory", "1")


def test_a_full_server_settles_and_releases_and_reserves_no_more(own_server: RedisServer, open_ledger: Open) -> None:
    """What it cost must be written down, most of all when things go wrong; what was not spent must not be spent."""
    ledger = open_ledger()
    ledger.execute([Reserve(id, four(30)) for id in ("a", "b", "c")])
    fill(own_server)
    with pytest.raises(BudgetUnavailable, match="out of memory"):
        ledger.execute([Reserve("d", four(30))])
    assert ledger.execute([Extend("a", 600.0)]) == [True]
    assert ledger.execute([Settle("a", {"usd": 7}), Release("b"), Release("never")]) == [
        Closed("a"),
        Closed("b"),
        Closed("never"),
    ]
    assert spent(ledger) == (7, 30)


def test_a_full_server_closes_orphans(own_server: RedisServer, open_ledger: Open) -> None:
    """Else nobody could even look at it."""
    clock = FakeClock()
    ledger = open_ledger(clock=clock)
    ledger.execute([Reserve("a", four(30), lease=60.0)])
    fill(own_server)
    clock.advance(60)
    assert ledger.execute([Expire()]) == [1]
    assert spent(ledger) == (30, 0)


@pytest.mark.parametrize("number", range(4))
def test_a_foreign_key_in_the_way_leaves_the_others_unchanged(
    own_server: RedisServer, open_ledger: Open, prefix: str, number: int
) -> None:
    """An error in a script undoes nothing, so all is looked at before the first write."""
    ledger = open_ledger()
    ledger.execute([Reserve("held", four(5))])
    owners = sorted(own_server.client().scan_iter(f"{{{prefix}:budget}}:o:*"))
    before = {key: own_server.tell("DUMP", key) for key in own_server.client().scan_iter("*") if key != owners[number]}
    own_server.tell("DEL", owners[number])
    own_server.tell("SET", owners[number], "not ours")
    for command in (Reserve("r", four(30)), Settle("held", {"usd": 1}), Release("held")):
        with pytest.raises(BudgetUnavailable, match="something else"):
            ledger.execute([command])
    assert {key: own_server.tell("DUMP", key) for key in before} == before


@pytest.mark.parametrize("letter", ["x", "h:ar", "i:aacme", "e:aacme", "i:everyone"])
def test_a_foreign_key_among_the_others_leaves_all_unchanged(
    own_server: RedisServer, open_ledger: Open, prefix: str, letter: str
) -> None:
    """The same for what is not an owner."""
    ledger = open_ledger()
    ledger.execute([Read((SESSION,))])
    key = f"{{{prefix}:budget}}:{letter}"
    own_server.tell("HSET", key, "not", "ours")
    before = own_server.tell("DBSIZE")
    with pytest.raises(BudgetUnavailable, match="something else"):
        ledger.execute([Reserve("r", four(30))])
    assert own_server.tell("DBSIZE") == before


@pytest.mark.parametrize(
    "command", [Settle("held", {"usd": 1}), Release("held"), Extend("held", 900.0)], ids=["settle", "release", "extend"]
)
def test_a_foreign_key_among_the_leases_leaves_a_reservation_as_it_is(
    own_server: RedisServer, open_ledger: Open, prefix: str, command: Any
) -> None:
    """Half a settlement would be charged and still be held."""
    ledger = open_ledger()
    ledger.execute([Reserve("held", four(5))])
    own_server.tell("DEL", f"{{{prefix}:budget}}:x")
    own_server.tell("SET", f"{{{prefix}:budget}}:x", "not ours")
    before = {key: own_server.tell("DUMP", key) for key in own_server.client().scan_iter("*")}
    with pytest.raises(BudgetUnavailable, match="something else"):
        ledger.execute([command])
    assert {key: own_server.tell("DUMP", key) for key in own_server.client().scan_iter("*")} == before


def test_a_missing_permission_is_named_and_nothing_written(own_server: RedisServer, open_ledger: Open) -> None:
    """Closed, and with the server's reason rather than a silence."""
    ledger = open_ledger()
    spend(ledger)
    own_server.tell("ACL", "SETUSER", "default", "-hset")
    with pytest.raises(BudgetUnavailable, match="permission") as caught:
        ledger.execute([Reserve("r", four(30))])
    own_server.tell("ACL", "SETUSER", "default", "+hset")
    assert caught.value.__cause__ is not None
    assert spent(ledger) == (7, 0)


def test_a_flushed_script_cache_goes_unnoticed(own_server: RedisServer, open_ledger: Open) -> None:
    """A restart, a fail-over, an operator: scripts are not data."""
    ledger = open_ledger()
    for _ in range(20):
        own_server.tell("SCRIPT", "FLUSH")
        id = secrets.token_hex(4)
        ledger.execute([Reserve(id, four(1))])
        own_server.tell("SCRIPT", "FLUSH")
        ledger.execute([OpenTurn("acme", "s1", id), EnsureAtLeast(SESSION, 0), Read((SESSION,))])
        own_server.tell("SCRIPT", "FLUSH")
        ledger.execute([Settle(id)])
    assert spent(ledger) == (20, 0)


def test_a_server_that_is_away_says_for_how_long_it_was_waited(own_server: RedisServer, prefix: str) -> None:
    """And no more than the deadline."""
    link = RedisLink.from_url(own_server.url, deadline=0.3)
    ledger = RedisLedger(link, prefix=prefix)
    spend(ledger)
    own_server.kill()
    with pytest.raises(BudgetUnavailable) as caught:
        ledger.execute([Read((SESSION,))])
    link.close()
    assert (caught.value.backend, caught.value.reason) == ("redis", "")
    assert caught.value.waited > 0


def test_errors_say_nothing_of_whose_money_it_was(own_server: RedisServer, prefix: str) -> None:
    """Ids of people, reasons and passwords end in logs otherwise."""
    own_server.tell("ACL", "SETUSER", "worker", "on", f">{SECRET}", "~*", "+@all", "-hset")
    link = RedisLink.from_url(own_server.url.replace("//", f"//worker:{SECRET}@"), deadline=0.3)
    ledger = RedisLedger(link, prefix=prefix)
    account = Account(SECRET, "user", SECRET, "usd", "day")
    errors = []
    for command in (
        Reserve(SECRET, (Charge(account, 1, 10),)),
        Adjust(SECRET, account, SECRET, SECRET, 5),
        Freeze(Owner(SECRET, "user", SECRET), SECRET, SECRET),
        OpenTurn(SECRET, SECRET, SECRET),
    ):
        with pytest.raises(BudgetUnavailable) as caught:
            ledger.execute([command])
        errors.append(repr(caught.value) + str(caught.value) + repr(caught.value.__cause__))
    link.close()
    assert SECRET not in "".join(errors)


# Time, and what goes by itself


def test_time_is_the_servers(own_server: RedisServer, open_ledger: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker whose clock is a day ahead does not spend tomorrow's money, and ends nobody's lease."""
    ledger = open_ledger()
    ledger.execute([Reserve("r", (Charge(USER, 60, 100),), lease=600.0)])
    monkeypatch.setattr("time.time", lambda: 4_102_444_800.0)
    ahead = open_ledger()
    assert ahead.execute([Expire()]) == [0]
    assert isinstance(ahead.execute([Reserve("s", (Charge(USER, 41, 100),))])[0], Denied)


def test_a_closed_reservation_is_remembered_for_an_hour_past_its_lease(
    own_server: RedisServer, open_ledger: Open, prefix: str
) -> None:
    """Then a replay cannot come any more, and memory is for those who are there."""
    ledger = open_ledger()
    left = {}
    for id, command in (("a", Settle("a")), ("b", Release("b")), ("c", Release("c"))):
        if id != "c":
            ledger.execute([Reserve(id, (Charge(SESSION, 1),), lease=300.0)])
        ledger.execute([command])
        left[id] = int(own_server.tell("PTTL", f"{{{prefix}:budget}}:h:a{id}")) / 1000
    assert 3_800 < left["a"] <= 3_900
    assert 3_800 < left["b"] <= 3_900
    assert 3_500 < left["c"] <= 3_600


def test_an_open_reservation_stays(own_server: RedisServer, open_ledger: Open, prefix: str) -> None:
    """Until somebody closes it: an orphan that vanished would be money that nobody charged."""
    open_ledger().execute([Reserve("a", (Charge(SESSION, 1),), lease=1.0)])
    assert own_server.tell("PTTL", f"{{{prefix}:budget}}:h:aa") == -1


@pytest.mark.parametrize(
    ("account", "goes"),
    [
        (SESSION, False),
        (SESSION._replace(window="turn"), False),
        (USER, True),
        (USER._replace(window="month"), True),
        (Account("acme", RUN, "run-1", "usd"), True),
    ],
    ids=["session", "turn", "day", "month", "run"],
)
def test_owners_that_start_over_anyway_go_by_themselves(
    own_server: RedisServer, open_ledger: Open, prefix: str, account: Account, goes: bool
) -> None:
    """A user who never comes back, and a run that is over, cost no memory for ever."""
    open_ledger().execute([Reserve("a", (Charge(account, 1),))])
    (key,) = own_server.client().scan_iter(f"{{{prefix}:budget}}:o:*")
    (ends,) = own_server.client().scan_iter(f"{{{prefix}:budget}}:e:*") if goes else (None,)
    assert (own_server.tell("PTTL", key) > 0, ends is not None) == (goes, goes)


def test_a_run_stays_as_long_as_its_calls_are_extended(own_server: RedisServer, open_ledger: Open, prefix: str) -> None:
    """A stream of three hours: were its run forgotten meanwhile, the next call would have all its money again."""
    ledger = open_ledger()
    ledger.execute([Reserve("a", (Charge(Account("acme", RUN, "run-1", "usd"), 1),), lease=60.0)])
    (key,) = own_server.client().scan_iter(f"{{{prefix}:budget}}:o:*")
    assert open_ledger().execute([Extend("a", 20_000.0)]) == [True]
    assert int(own_server.tell("PTTL", key)) > 23_600_000


def test_an_owner_that_gets_an_account_for_good_stays(own_server: RedisServer, open_ledger: Open, prefix: str) -> None:
    """The user's day may go, what the user spent in all may not."""
    ledger = open_ledger()
    ledger.execute([Reserve("a", (Charge(USER, 1),))])
    ledger.execute([Reserve("b", (Charge(USER._replace(window=None), 1),))])
    (key,) = own_server.client().scan_iter(f"{{{prefix}:budget}}:o:*")
    assert own_server.tell("PTTL", key) == -1
    assert own_server.tell("EXISTS", f"{{{prefix}:budget}}:e:aacme") == 0


def test_the_index_loses_those_who_went_by_themselves(own_server: RedisServer, open_ledger: Open, prefix: str) -> None:
    """A million runs a day would be a million names otherwise."""
    clock = FakeClock()
    ledger = open_ledger(clock=clock)
    for number in range(20):
        ledger.execute([Reserve(f"r{number}", (Charge(Account("acme", RUN, f"run-{number}", "usd"), 1),))])
    ledger.execute([Settle(f"r{number}") for number in range(20)])
    clock.advance(86_400)
    for number in range(3):
        ledger.execute([Reserve(f"s{number}", (Charge(Account("acme", RUN, f"new-{number}", "usd"), 1),))])
    assert own_server.tell("ZCARD", f"{{{prefix}:budget}}:i:aacme") == 3


def test_reserving_and_settling_are_one_round_trip_each(own_server: RedisServer, open_ledger: Open) -> None:
    """A call waits for the ledger twice; the network is most of that."""
    ledger = open_ledger()
    spend(ledger)
    own_server.forget_calls()
    ledger.execute([Reserve("r", four(1))])
    ledger.execute([Settle("r", {"usd": 1})])
    assert own_server.calls()["evalsha"] == 2


def test_a_gates_visit_is_one_round_trip(own_server: RedisServer, open_ledger: Open) -> None:
    """It opens the turn, raises what the checkpoint knows, and reads."""
    ledger = open_ledger()
    link = ledger._link
    sent = []
    monkeypatched = link.execute
    link.execute = lambda batch: (sent.append(len(batch)), monkeypatched(batch))[1]  # type: ignore[method-assign]
    visit = [OpenTurn("acme", "s1", "t1"), EnsureAtLeast(SESSION, 5), Read((SESSION, USER)), Read((EVERYONE,))]
    ledger.execute([Read((SESSION,))])
    sent.clear()
    ledger.execute(visit)
    assert sent == [4]


def test_another_processs_reservation_takes_two_round_trips_to_settle(
    own_server: RedisServer, open_ledger: Open
) -> None:
    """The first asks for its owners, because each key has to be declared."""
    open_ledger().execute([Reserve("r", four(9)), Reserve("before", four(1))])
    other = open_ledger()
    other.execute([Settle("before", {"usd": 0})])
    own_server.forget_calls()
    assert other.execute([Settle("r", {"usd": 4})]) == [Closed("r")]
    assert own_server.calls()["evalsha"] == 2
    assert spent(other) == (4, 0)


def test_a_settlement_that_the_books_have_no_reservation_of_is_charged(
    own_server: RedisServer, open_ledger: Open, prefix: str
) -> None:
    """A fail-over may lose the newest writes; whoever made the call still knows what it cost."""
    ledger = open_ledger()
    ledger.execute([Reserve("r", four(30))])
    tag = f"{{{prefix}:budget}}"
    for key in (f"{tag}:h:ar", f"{tag}:x", *own_server.client().scan_iter(f"{tag}:o:*")):
        own_server.tell("DEL", key)
    assert ledger.execute([Settle("r", {"usd": 12})]) == [Closed("r")]
    with pytest.raises(Exception, match="settled"):
        open_ledger().execute([Settle("r", {"usd": 13})])
    assert [spent(ledger, charge.account) for charge in four(30)] == [(12, 0)] * 4


# Misuse


@pytest.mark.parametrize(
    ("options", "field"), [({"prefix": "{x}"}, "prefix"), ({"prefix": ""}, "prefix"), ({"slots": "many"}, "slots")]
)
def test_a_wrong_setting_is_refused_at_construction(options: dict[str, Any], field: str) -> None:
    """Not in the tenth superstep."""
    with pytest.raises(ConfigError, match=field):
        RedisLedger(RedisLink.from_url("redis://127.0.0.1:1"), **options)


def test_a_sum_that_no_double_holds_is_refused_and_nothing_written(open_ledger: Open) -> None:
    """Without a limit too; every script must agree on every sum."""
    ledger = open_ledger()
    ledger.execute([Reserve("a", (Charge(SESSION, 2**53 - 2),))])
    with pytest.raises(InvalidAmount, match="2\\^53-1"):
        ledger.execute([Reserve("b", (Charge(USER, 1), Charge(SESSION, 2)))])
    assert (spent(ledger), spent(ledger, USER)) == ((0, 2**53 - 2), (0, 0))
    ledger.execute([Settle("a", {"usd": 2**53 - 1}), Reserve("c", (Charge(SESSION, 0),)), Settle("c", {"usd": 9})])
    assert spent(ledger) == (2**53 - 1, 0)


def test_a_frozen_owner_is_refused_everywhere_until_it_is_thawed(open_ledger: Open) -> None:
    """In each process, at once."""
    one, other = open_ledger(), open_ledger()
    one.execute([Freeze(Owner("acme", "user", "42"), "ada", "abuse")])
    (reply,) = other.execute([Reserve("r", (Charge(SESSION, 1), Charge(USER, 1)))])
    assert isinstance(reply, Denied)
    assert (reply.charge.account, reply.balance.frozen, reply.retry_after) == (USER, True, None)
    other.execute([Thaw(Owner("acme", "user", "42"), "ada")])
    assert isinstance(one.execute([Reserve("r", (Charge(SESSION, 1), Charge(USER, 1)))])[0], Granted)
