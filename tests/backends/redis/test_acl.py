"""The user that `check.py` prescribes may do all that the backend does, and not one command too much."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any

import pytest
import redis.asyncio

from langgraph_guard import RedisBackend
from langgraph_guard.backends import Backend
from langgraph_guard.backends.protocols import ApprovalBackend, BreakerRegistry
from langgraph_guard.backends.redis import check
from langgraph_guard.errors import StoreRefused
from langgraph_guard.testing import FakeClock
from langgraph_guard.testing.contracts import BreakerContract
from langgraph_guard.testing.contracts import ledger as ledgers
from langgraph_guard.testing.contracts.approvals.deciding import Deciding
from langgraph_guard.testing.contracts.approvals.executing import Covered, Executing
from langgraph_guard.testing.contracts.approvals.pages import Trails, Waiting
from tests.servers.redis import HOST, RedisCluster, RedisServer

PRESCRIBED = re.search(r"ACL SETUSER guard on >secret (.*?)\n\n", check.__doc__ or "", re.DOTALL)
RULES = PRESCRIBED[1].split() if PRESCRIBED else []
COMMANDS = [rule[1:] for rule in RULES if rule.startswith("+")]
ON_A_CLUSTER = [rule[1:] for rule in re.findall(r"`((?:\+\S+ ?)+)`", check.__doc__ or "")[0].split()]


@pytest.fixture(scope="module")
def guarded() -> Iterator[RedisServer]:
    """A server on which `guard` may do what is prescribed."""
    with RedisServer() as server:
        server.tell("ACL", "SETUSER", "guard", "on", ">secret", *RULES)
        yield server


def connect(server: RedisServer, user: str = "guard", **options: Any) -> RedisBackend:
    """A backend that is such a user."""
    return RedisBackend.from_url(f"redis://{user}:secret@{HOST}:{server.port}", deadline=60, **options)


class TestCircuitsOfTheSmallestUser(BreakerContract):
    """Everything that can be done to a circuit, by a user with nothing to spare."""

    trials = 1

    @pytest.fixture(autouse=True)
    def _server(self, guarded: RedisServer) -> None:
        self.server = guarded

    def make_registry(self, clock: FakeClock) -> BreakerRegistry:
        self.server.tell("FLUSHALL")
        return connect(self.server, clock=clock).breakers


class TestLedgerOfTheSmallestUser(
    ledgers.Reserving, ledgers.Closing, ledgers.Extending, ledgers.Orphans, ledgers.Turns, ledgers.ByHand, ledgers.Pages
):
    """Everything that can be done to a ledger."""

    trials = 1

    @pytest.fixture(autouse=True)
    def _server(self, guarded: RedisServer) -> None:
        self.server = guarded

    def make_backend(self, clock: FakeClock, tenant: str) -> Backend:
        self.server.tell("FLUSHALL")
        return connect(self.server, clock=clock, tenant=tenant)


class TestDeskOfTheSmallestUser(Deciding, Waiting, Trails, Executing, Covered):
    """Everything that can be asked, decided and done."""

    trials = 1

    @pytest.fixture(autouse=True)
    def _server(self, guarded: RedisServer) -> None:
        self.server = guarded

    def make_backend(self, clock: FakeClock, tenant: str) -> ApprovalBackend:
        self.server.tell("FLUSHALL")
        return connect(self.server, clock=clock, tenant=tenant)


def test_a_ledger_by_the_server_s_clock_needs_no_more(guarded: RedisServer) -> None:
    """Which is how it is run."""
    guarded.tell("FLUSHALL")
    with connect(guarded) as backend:
        backend.ledger.reopen("ada", "a first look")  # type: ignore[attr-defined]


def test_the_smallest_user_passes_the_check(guarded: RedisServer) -> None:
    """What it may not ask for is a warning: the backend works without."""
    report = connect(guarded).check()
    assert report.ok, str(report)
    assert ["could not be read" in each.says for each in report.of("warning")] == [True]


def test_with_information_the_check_sees_more(guarded: RedisServer) -> None:
    """As the page says: two more rights."""
    guarded.tell("ACL", "SETUSER", "seer", "on", ">secret", *RULES, "+info", "+config|get")
    names = {each.name for each in connect(guarded, "seer").check().findings}
    assert {"version", "role", "eviction", "memory", "persistence"} < names


def test_scripts_call_what_is_prescribed_and_nothing_else() -> None:
    """A right that nothing needs is one that an intruder has for nothing."""
    package = files("langgraph_guard.backends.redis")
    called = {name for text in _texts(package, ".lua") for name in re.findall(r"redis\.p?call\('(\w+)'", text)}
    sent = {
        name
        for part in ("ledger", "breakers", "approvals")
        for text in _texts(package / part, ".py")
        for name in re.findall(r"\(\"([A-Z]{3,})\", ", text)
    }
    by_the_link = {"evalsha", "script|load", "multi", "exec"}
    assert {name.lower() for name in called | sent} | by_the_link == set(COMMANDS)


def _texts(folder: Traversable, end: str) -> Iterator[str]:
    for each in folder.iterdir():
        if each.is_dir():
            yield from _texts(each, end)
        elif each.name.endswith(end):
            yield each.read_text("utf-8")


@pytest.mark.parametrize("command", COMMANDS)
def test_a_missing_right_is_named(guarded: RedisServer, command: str) -> None:
    """A script that is stopped half-way leaves half a change, so each right is tried before the first call."""
    guarded.tell("FLUSHALL")
    guarded.tell("ACL", "SETUSER", "lesser", "reset", "on", ">secret", *_without(command))
    backend = connect(guarded, "lesser")
    report = backend.check()
    assert [each.says.partition("SETUSER … ")[2] for each in report.of("error")] == [f"+{command}"]
    with pytest.raises(StoreRefused, match=re.escape(f"+{command}")):
        backend.setup()
    assert guarded.tell("DBSIZE") == 0


def _without(*commands: str) -> list[str]:
    """What is prescribed, less these. Old servers cannot take a subcommand back, only not give it."""
    return [rule for rule in RULES if rule.removeprefix("+") not in commands]


def test_all_missing_rights_are_named_at_once(guarded: RedisServer) -> None:
    """Not one after the other, restart by restart."""
    guarded.tell("ACL", "SETUSER", "lesser", "reset", "on", ">secret", *_without("zadd", "set", "ltrim"))
    (error,) = connect(guarded, "lesser").check().of("error")
    assert error.says.endswith("+set +ltrim +zadd")


@pytest.mark.parametrize("missing", [rule for rule in RULES if rule.startswith("~")])
def test_keys_that_are_out_of_bounds_are_named(guarded: RedisServer, missing: str) -> None:
    """The ledger's and the circuits' are named differently."""
    rules = [rule for rule in RULES if rule != missing]
    guarded.tell("ACL", "SETUSER", "lesser", "reset", "on", ">secret", *rules)
    (error,) = connect(guarded, "lesser").check().of("error")
    assert error.says.endswith("~lgg:* ~{lgg:*")


def test_a_prefix_that_was_changed_is_named(guarded: RedisServer) -> None:
    """The usual mistake."""
    (error,) = connect(guarded, prefix="other").check().of("error")
    assert error.says.endswith("~other:* ~{other:*")


def test_a_user_without_any_right_is_told_all(guarded: RedisServer) -> None:
    """The first thing that an administrator does is to make a user."""
    guarded.tell("ACL", "SETUSER", "nobody", "reset", "on", ">secret", "~*")
    (error,) = connect(guarded, "nobody").check().of("error")
    named = {rule[1:] for rule in error.says.split() if rule.startswith("+")}
    assert named == set(COMMANDS) - {"evalsha", "exec"}  # behind `script|load` and `multi`


# A Cluster


def on_the_cluster(cluster: RedisCluster, *missing: str) -> RedisBackend:
    """A backend whose user has what is prescribed for a Cluster, less what is named. Its client never connects."""
    rights = [*_without(*missing), *(f"+{name}" for name in ON_A_CLUSTER if name not in missing)]
    for node in cluster.nodes:
        node.tell("ACL", "SETUSER", "worker", "reset", "on", "nopass", *rights)
    client = redis.asyncio.RedisCluster(host=HOST, port=cluster.nodes[0].port, username="worker", password="")
    return RedisBackend(async_client=client, deadline=60)


def test_the_smallest_user_of_a_cluster_passes_the_check(redis_cluster: RedisCluster) -> None:
    """On each of its nodes, and nothing is left there."""
    report = on_the_cluster(redis_cluster).check()
    assert report.ok, str(report)
    assert [node.tell("DBSIZE") for node in redis_cluster.nodes] == [0, 0, 0]


@pytest.mark.parametrize("command", ["cluster|slots", "multi", "exec", "zadd"])
def test_a_missing_right_on_a_cluster_is_named(redis_cluster: RedisCluster, command: str) -> None:
    """A slot that moves takes a transaction; nobody would notice before that day."""
    (error,) = on_the_cluster(redis_cluster, command).check().of("error")
    assert error.says.endswith(f"+{command}")


# Settings that lose money


@pytest.mark.parametrize(
    ("policy", "expected"), [("noeviction", "ok"), ("volatile-lru", "error"), ("allkeys-lru", "error")]
)
def test_a_policy_that_evicts_what_was_spent_is_an_error(policy: str, expected: str) -> None:
    """A key that was evicted is a budget that starts again at zero; `setup` refuses such a server."""
    with RedisServer(maxmemory_policy=policy) as server, RedisBackend.from_url(server.url, deadline=60) as backend:
        (found,) = [each for each in backend.check().findings if each.name == "eviction"]
        assert (found.level, policy in found.says) == (expected, True)
        if expected == "error":
            with pytest.raises(StoreRefused, match="noeviction"):
                backend.setup()


def test_a_server_that_says_nothing_of_its_memory_is_a_warning() -> None:
    """Some services do not let anyone look."""
    assert check.eviction({}).level == "warning"


def test_a_replica_is_refused() -> None:
    """It would answer every look and refuse every reservation."""
    with RedisServer() as master, RedisServer(replicaof=f"{HOST} {master.port}") as replica:
        report = RedisBackend.from_url(replica.url, deadline=60).check()
    assert [each.name for each in report.of("error")] == ["role"]


def test_what_a_restart_forgets_is_said() -> None:
    """Redis' own default keeps snapshots only."""
    with RedisServer() as server:
        says = [each.says for each in RedisBackend.from_url(server.url, deadline=60).check().of("warning")]
    assert ["forgets what was spent" in each for each in says] == [True]


def test_a_clock_that_differs_is_no_reason_to_refuse(guarded: RedisServer) -> None:
    """Nothing is counted by it."""
    found = check.Shared(connect(guarded)._link, "lgg").clock(100.0, 50.0, 51.0)
    assert (found.level, "49.0 s behind" in found.says) == ("warning", True)
