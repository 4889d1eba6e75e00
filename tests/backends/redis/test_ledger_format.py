"""Version 1 of the format: what it wrote can be read for ever, and what is written is still version 1.

The values below are never changed. When one of these tests fails, the code is wrong, not the table: a change of the
format is a new version.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from langgraph_guard._redis import RedisLink
from langgraph_guard._redis.scripts import load_script
from langgraph_guard.backends.redis.ledger import RedisLedger
from langgraph_guard.policies.ledger import (
    RUN,
    Account,
    Adjust,
    Balance,
    Charge,
    Closed,
    Expire,
    Freeze,
    Granted,
    Holds,
    OpenTurn,
    Owner,
    Page,
    Read,
    Release,
    Reserve,
    Settle,
    Survey,
)
from langgraph_guard.policies.windows import period
from langgraph_guard.testing import FakeClock
from tests.servers.redis import RedisServer

TAG: Final = "{lgg:budget}"
SESSION: Final = Account("acme", "session", "s1", "usd")
TURN: Final = SESSION._replace(window="turn")
USER: Final = Account("acme", "user", "a b", "usd", "day")
RUNS: Final = Account("acme", RUN, "r1", "model calls")
EVERYONE: Final = Account("", "global", "", "usd", "month")
CHARGES: Final = (
    Charge(SESSION, 30),
    Charge(TURN, 30, 2**53 - 1, 5),
    Charge(USER, 10**15, 2 * 10**15),
    Charge(RUNS, 1, 9),
    Charge(EVERYONE, 30, 100, None, 7),
)

ASKED: Final = (
    b'[[[["acme","session","s1","usd",null],30,null,null,null],[["acme","session","s1","usd","turn"],30,'
    b'9007199254740991,5,null],[["acme","user","a b","usd","day"],1000000000000000,2000000000000000,null,null],'
    b'[["acme","run","r1","model calls",null],1,9,null,null],[["","global","","usd","month"],30,100,null,7]],["acme"]]'
)
NAMES: Final = b"aacme:asession:as1 aacme:auser:bYSBi aacme:arun:ar1 b:aglobal:b"
LINES: Final = (
    b"1 :usd = 30 1 turn:usd =t%2F1 30 2 day:usd =000000020454 1000000000000000 3 :model%20calls = 1 "
    b"4 month:usd =000020260001 30"
)

STORED: Final[dict[str, Any]] = {
    "x": {NAMES + b" =held%201": 1767225900.0},
    "h:baGVsZCAx": b"held\nd62f590d304de084df680d69d96dec52\n"
    b"30 30 1000000000000000 1 30\n=t%2F1 3\n1767225900\ncharge\n" + NAMES + b"\n" + LINES + b"\n" + ASKED + b"\n",
    "h:asettled": b"settled\n4901884b8cb4a1c7ed61c6e76caf9a34\n30\n= 0\nusd=42\nusd=12\n",
    "h:areleased": b"released\n4901884b8cb4a1c7ed61c6e76caf9a34\n30\n= 0\n",
    "h:anever": b"released\n7ebb3c7c2a87b1a2f8a7ed729ecb040d\n\n= 0\n",
    "h:aexpired": b"expired\n63322199dacbc6b396a09fc8db528a58\n5\n= 0\n1767225601\ncharge\n"
    b"aacme:asession:as2\n1 :usd = 5\n",
    "o:aacme:asession:as1": {
        b"turn": b"=t%2F1 3",
        b"till": b"0",
        b":usd": b"= 42 30 0",
        b"turn:usd": b"=t%2F1 0 30 0",
    },
    "o:aacme:asession:as2": {b"till": b"0", b":usd": b"= 5 0 0"},
    "o:aacme:auser:bYSBi": {
        b"till": b"0",
        b"frozen": b"1",
        b"day:usd": b"=000000020454 0 1000000000000000 0",
    },
    "o:aacme:arun:ar1": {b"till": b"1767233100", b":model%20calls": b"= 0 1 0"},
    "o:b:aglobal:b": {b"till": b"1775264400", b"month:usd": b"=000020260001 3 30 50"},
    "i:aacme": {b'["session","s1"]': 0.0, b'["session","s2"]': 0.0, b'["user","a b"]': 0.0, b'["run","r1"]': 0.0},
    "e:aacme": {b'["run","r1"]': 1767233100.0},
    "i:everyone": {b'["global",""]': 0.0},
    "e:everyone": {b'["global",""]': 1775264400.0},
    "w:aacme": [b'1767225600 ["freeze",["acme","user","a b"],"ada","why"]'],
    "w:everyone": [b'1767225600 ["adjust",["","global",""],"bob","invoice","usd","month",3,50]'],
    "d:aadjusted": b'[["","global","","usd","month"],3,50,""]',
}


@pytest.fixture
def server() -> Iterator[RedisServer]:
    """A server of its own: the prefix is part of the format."""
    with RedisServer() as server:
        yield server


def write(ledger: RedisLedger, clock: FakeClock) -> None:
    """Something of everything."""
    ledger.execute([Reserve("expired", (Charge(SESSION._replace(id="s2"), 5),), lease=1.0)])
    ledger.execute([Reserve("settled", (Charge(SESSION, 30),)), Settle("settled", {"usd": 42})])
    ledger.execute([Reserve("released", (Charge(SESSION, 30),)), Release("released"), Release("never")])
    ledger.execute([OpenTurn("acme", "s1", "t/1", 3), Reserve("held 1", CHARGES)])
    ledger.execute([Freeze(Owner(*USER[:3]), "ada", "why"), Adjust("adjusted", EVERYONE, "bob", "invoice", 3, 50)])
    clock.advance(1)
    assert ledger.execute([Expire()]) == [1]


def everything(server: RedisServer) -> dict[str, Any]:
    """All keys and values."""
    found: dict[str, Any] = {}
    with server.client() as client:
        for key in client.scan_iter("*"):
            name = key.decode().removeprefix(f"{TAG}:")
            match client.type(key):
                case b"string":
                    found[name] = client.get(key)
                case b"hash":
                    found[name] = client.hgetall(key)
                case b"zset":
                    found[name] = dict(client.zrange(key, 0, -1, withscores=True))
                case b"list":
                    found[name] = client.lrange(key, 0, -1)
    return found


def test_what_is_written_is_version_1(server: RedisServer) -> None:
    """Keys and values, to the last byte."""
    link, clock = RedisLink.from_url(server.url), FakeClock()
    write(RedisLedger(link, clock), clock)
    found = everything(server)
    link.close()
    meta = found.pop("m")
    assert (meta.pop(b"v"), list(meta)) == (b"1", [b"epoch"])
    assert found == STORED


def restore(server: RedisServer) -> None:
    """What version 1 wrote, as it is above."""
    with server.client() as client:
        client.hset(f"{TAG}:m", mapping={"v": "1", "epoch": "00176722560000000-0"})
        for name, value in STORED.items():
            key = f"{TAG}:{name}"
            if isinstance(value, bytes):
                client.set(key, value)
            elif isinstance(value, list):
                client.rpush(key, *value)
            elif name[0] in "xie":
                client.zadd(key, value)
            else:
                client.hset(key, mapping=value)


def test_what_version_1_wrote_can_be_read(server: RedisServer) -> None:
    """Balances, surveys and reservations, by a process that starts now."""
    restore(server)
    link, clock = RedisLink.from_url(server.url), FakeClock(1_767_225_601.0)
    ledger = RedisLedger(link, clock)
    balances, survey, holds, granted, settled = ledger.execute(
        [
            Read((SESSION, TURN, USER, RUNS, EVERYONE)),
            Survey("acme"),
            Holds("acme"),
            Reserve("held 1", CHARGES),
            Settle("settled", {"usd": 42}),
        ]
    )
    link.close()
    assert balances == (
        Balance(42, 30),
        Balance(0, 30, "t/1"),
        Balance(0, 10**15, "000000020454", 0, True),
        Balance(0, 1),
        Balance(3, 30, "000020260001", 50),
    )
    assert isinstance(survey, Page)
    assert {each.account for each in survey.items} == {  # type: ignore[union-attr]
        SESSION,
        SESSION._replace(id="s2"),
        TURN,
        USER,
        RUNS,
        EVERYONE,
    }
    assert isinstance(holds, Page)
    (hold,) = holds.items
    assert hold == ("held 1", CHARGES, (30, 30, 10**15, 1, 30), 1767225900.0, False)
    assert granted == Granted("held 1", (30, 30, 10**15, 1, 30), "t/1")
    assert settled == Closed("settled", {"usd": 12})


# The server's periods


WORDS: Final = """
local found = {}
for at = 1, #ARGV, 2 do
  local id, ends = period(ARGV[at], tonumber(ARGV[at + 1]), '')
  found[#found + 1] = id .. ' ' .. (ends and string.format('%.17g', ends) or '')
end
return found
"""
LUA: Final = load_script("langgraph_guard.backends.redis", "lua/ledger/periods").source + WORDS

moments = st.one_of(
    st.floats(0, 4e9),
    st.integers(0, 4 * 10**9).map(float),
    st.integers(1, 46_000).map(lambda day: day * 86_400.0 - 2**-22),
)
MONTHS: Final = [("month", day * 86_400.0 + part) for day in range(0, 46_000, 37) for part in (0.0, 86_399.999)]


@given(st.lists(st.tuples(st.sampled_from(["minute", "hour", "day", "month"]), moments), min_size=1, max_size=50))
@example(MONTHS)
def test_the_servers_periods_are_the_rules_periods(redis_server: RedisServer, asked: list[tuple[str, float]]) -> None:
    """Two workers, one in memory and one on Redis, must agree when a day ends: to the last bit of a double."""
    found = redis_server.tell("EVAL", LUA, 0, *(word for window, now in asked for word in (window, repr(now))))
    expected = [period(window, now) for window, now in asked]
    assert [each.decode().split(" ") for each in found] == [[each.id, f"{each.ends_at:.17g}"] for each in expected]
