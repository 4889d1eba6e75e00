"""Version 1 of the format: what it wrote can be read for ever, and what is written is still version 1.

The values below are never changed. When one of these tests fails, the code is wrong, not the table: a change of the
format is a new version.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import pytest

from langgraph_guard._redis import RedisLink
from langgraph_guard.policies.approval.chain import verify
from langgraph_guard.policies.approval.commands import Approval, Look, Pending, Trail, Vote
from langgraph_guard.policies.approval.rules import Requirement
from langgraph_guard.policies.outbox import Claim, Done, EffectKey, Execution, LookUp
from langgraph_guard.testing import FakeClock
from langgraph_guard.testing.contracts.approvals.harness import KEY, PAY, decide, request
from tests.backends.redis.desks import Office, office
from tests.servers.redis import RedisServer

AT: Final = 1_767_225_600.1
TAG: Final = "{lgg:desk:aacme}"
DIGEST: Final = b"e861d935f75f03ce663bd0f8e6c72f0c844579cd222ffed448e7b95cfb403c2b"
NEEDED: Final = Requirement(quorum=2, reviewers=("ann", "zoë"), ttl=60.0, separation_of_duties=True)
SECOND: Final = KEY._replace(call_id="c2")

_ASKED: Final = {
    b"v": b"1", b"id": b"open", b"tenant": b"acme", b"thread": b"t 2\0", b"ns": b"", b"call_id": b"c1", b"tool": b"pay",
    b"args": b'{"amount":5,"to":"zo\\u00eb"}', b"digest": DIGEST, b"first_digest": DIGEST, b"reason": b"money",
    b"requirement": b'[["approve","edit","reject"],2,["ann","zo\xc3\xab"],[],60.0,true,""]', b"requested_by": b"agent",
    b"at": b"1767225600.0999999", b"expires_at": b"1767225660.0999999", b"state": b"pending", b"decided_by": b"",
    b"votes": b"3:ann18:1767225600.099999964:" + DIGEST, b"decided_at": b"", b"message": b"",
    b"heard": b"32:379873fd23330c9f24964ae6f617145d",
}  # fmt: skip
_STARTED: Final = {
    b"v": b"1", b"state": b"started", b"owner": b"w2", b"fence": b"1", b"at": b"1767225600.0999999",
    b"ends_at": b"1767225660.0999999", b"result": b"", b"approval": b"", b"thread": b"t1", b"call_id": b"c2",
    b"digest": DIGEST,
}  # fmt: skip

STORED: Final[dict[str, Any]] = {
    "a:aopen": _ASKED,
    "a:arefused": _ASKED | {
        b"id": b"refused", b"thread": b"t1", b"state": b"rejected", b"votes": b"", b"heard": b"", b"message": b"no",
        b"decided_by": b"4:zo\xc3\xab", b"decided_at": b"1767225600.0999999",
    },
    "d": [
        b"4:deed1:113:17672256001009:requested4:open5:agent64:" + DIGEST
        + b"0:0:64:fb0a9405bfdb842c2a8a6f045507ad843bd91e0e7b019dab8104ff0b81ab185f",
        b"4:deed1:213:17672256001005:voted4:open3:ann64:" + DIGEST
        + b"7:approve64:fb0a9405bfdb842c2a8a6f045507ad843bd91e0e7b019dab8104ff0b81ab185f"
        b"64:fab48ee2794f6f91ec965899538f03207c2a77f3b866b3211672170d1f8321a6",
        b"4:deed1:313:17672256001009:requested7:refused5:agent64:" + DIGEST
        + b"0:64:fab48ee2794f6f91ec965899538f03207c2a77f3b866b3211672170d1f8321a6"
        b"64:1b60f687c72e49cb846e95e079f75b489349ab8405a41ddd88a33fa81fcab022",
        b"4:deed1:413:17672256001008:rejected7:refused4:zo\xc3\xab64:" + DIGEST
        + b"6:reject64:1b60f687c72e49cb846e95e079f75b489349ab8405a41ddd88a33fa81fcab022"
        b"64:92fbf180bccdfdef1197f383bd74fa0132d5b5ee80977f1649479f00e57e109c",
        b"4:deed1:513:17672256001007:started32:9bf1ceb8ee9320a3fd4d77e1aada44332:w164:" + DIGEST
        + b"0:64:92fbf180bccdfdef1197f383bd74fa0132d5b5ee80977f1649479f00e57e109c"
        b"64:35b104b1053a7d86c10d636412a4a5b76c14db852378f7a6a372eea144e1a3a6",
        b"4:deed1:613:17672256001004:done32:9bf1ceb8ee9320a3fd4d77e1aada44332:w164:" + DIGEST
        + b"0:64:35b104b1053a7d86c10d636412a4a5b76c14db852378f7a6a372eea144e1a3a6"
        b"64:a1765337402d21bfe6109c1faecffeb9a252fa5a1c9dfa2864b9ef57ebbaf50a",
        b"4:deed1:713:17672256001007:started32:440d0fabfc73d768a339fac9079a55fb2:w264:" + DIGEST
        + b"0:64:a1765337402d21bfe6109c1faecffeb9a252fa5a1c9dfa2864b9ef57ebbaf50a"
        b"64:74e762db127bdd7f0a1346a7e9f6179e19d41c1ea0bc078140ddd4c694ace811",
    ],
    "e:440d0fabfc73d768a339fac9079a55fb818d3ccee1d3ee23114e574564e23ad2": _STARTED,
    "e:9bf1ceb8ee9320a3fd4d77e1aada4433bae894f5ae336ad3e0a7fd89f501c414": _STARTED
    | {b"call_id": b"c1", b"owner": b"w1", b"state": b"done", b"result": b"paid"},
    "h": {b"v": b"1", b"number": b"7", b"hash": b"74e762db127bdd7f0a1346a7e9f6179e19d41c1ea0bc078140ddd4c694ace811"},
    "b": [(b"0000001767225660.099999905 440d0fabfc73d768a339fac9079a55fb818d3ccee1d3ee23114e574564e23ad2", 0.0)],
    "o": [(b"0000001767225600.099999905 open\0\x001767225660.0999999 t 2\0", 0.0)],
}  # fmt: skip


@pytest.fixture
def server() -> Iterator[RedisServer]:
    """A server of its own: the prefix is part of the format."""
    with RedisServer() as server:
        yield server


@pytest.fixture
def place(server: RedisServer) -> Iterator[Office]:
    """A desk and an outbox, as they come."""
    link = RedisLink.from_url(server.url, deadline=60)
    yield office(link, FakeClock(AT), prefix="lgg")
    link.close()


def everything(server: RedisServer) -> dict[str, Any]:
    """All keys and values."""
    found: dict[str, Any] = {}
    with server.client() as client:
        for key in client.scan_iter("*"):
            name = key.decode().removeprefix(f"{TAG}:")
            match client.type(key):
                case b"hash":
                    found[name] = client.hgetall(key)
                case b"zset":
                    found[name] = client.zrange(key, 0, -1, withscores=True)
                case b"list":
                    found[name] = client.lrange(key, 0, -1)
    return found


def test_what_is_written_is_version_1(server: RedisServer, place: Office) -> None:
    """Keys and values, to the last byte."""
    place.desk.execute(
        [
            request("open", thread="t 2\0", requirement=NEEDED),
            decide("ann", id="open", source="s"),
            request("refused", requirement=NEEDED),
            decide("zoë", "reject", id="refused", message="no"),
        ]
    )
    place.outbox.execute([Claim(KEY, "w1", 60.0), Done(KEY, 1, "paid"), Claim(SECOND, "w2", 60.0)])
    assert everything(server) == STORED


def restore(server: RedisServer) -> None:
    """What version 1 wrote, as it is above."""
    with server.client() as client:
        for name, value in STORED.items():
            key = f"{TAG}:{name}"
            if isinstance(value, dict):
                client.hset(key, mapping=value)
            elif name == "d":
                client.rpush(key, *value)
            else:
                client.zadd(key, dict(value))


def asked(id: str, **fields: Any) -> Approval:
    """A request of the table."""
    known: dict[str, Any] = {"thread": "t1", "state": "pending"}
    return Approval(
        id=id,
        tenant="acme",
        ns="",
        call_id="c1",
        tool="pay",
        args=PAY.text,
        digest=PAY.digest,
        first_digest=PAY.digest,
        reason="money",
        requirement=(("approve", "edit", "reject"), 2, ("ann", "zoë"), (), 60.0, True, ""),
        requested_by="agent",
        at=AT,
        expires_at=AT + 60,
        **known | fields,
    )


OPEN: Final = asked(
    "open", thread="t 2\0", votes=(Vote("ann", AT, PAY.digest),), heard=("379873fd23330c9f24964ae6f617145d",)
)
REFUSED: Final = asked("refused", state="rejected", decided_by=("zoë",), decided_at=AT, message="no")


def test_what_version_1_wrote_can_be_read(server: RedisServer, place: Office) -> None:
    """Requests, executions and the chain, by a process that starts now."""
    restore(server)
    looked, pending, trail = place.desk.execute([Look("acme", ("open", "refused")), Pending("acme"), Trail("acme")])
    executions = place.outbox.execute([LookUp(KEY), LookUp(SECOND), Done(SECOND, 1, "late")])
    assert (looked, pending) == ((OPEN, REFUSED), (OPEN,))
    assert verify(trail.deeds, trail.head) is None  # type: ignore[union-attr]
    assert executions == [
        Execution("done", "w1", 1, AT, AT + 60, "paid"),
        Execution("started", "w2", 1, AT, AT + 60),
        True,
    ]


def test_no_two_executions_have_one_key() -> None:
    """Whatever their parts are made of."""
    from langgraph_guard.backends.redis.approvals.keys import keyspace

    parts = ("a:b", "c"), ("a", "b:c"), ("a", "b", "c")
    keys = {keyspace("lgg", "").execution(EffectKey("", *each, *[""] * (3 - len(each)))) for each in parts}
    assert len(keys) == len(parts)
