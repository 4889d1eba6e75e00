"""Cloudflare's own simulator, and the gateway Worker in it, take what `CloudflareKVSaver` sends and give it back.

The whole contract on each is in `test_contract_everywhere.py`, which is slow; here is what a server could change.
"""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import replace
from typing import Any

import pytest

from langgraph_guard.checkpoint.cloudflare import CloudflareKVSaver, RestTransport
from langgraph_guard.errors import CheckpointTooLarge, StoreRefused
from langgraph_guard.testing.contracts.saver import STORED_TYPES, graphs
from langgraph_guard.testing.contracts.saver.conformance import Conformance
from langgraph_guard.testing.contracts.saver.harness import about, anywhere, at, task, uid
from langgraph_guard.testing.contracts.saver.values import VALUES
from tests.checkpoint.cloudflare import places, worker
from tests.checkpoint.cloudflare.fronts import BUSY, checkpoint
from tests.servers.kv import KVPlace, KVSimulator

MIB = 2**20

PLACES = ("explorer", "gateway_kv", "gateway_do")


@pytest.fixture(params=PLACES)
def place(request: pytest.FixtureRequest, kv_simulator: KVSimulator) -> KVPlace:
    """Each in turn."""
    found: KVPlace = getattr(kv_simulator, request.param)()
    return found


@pytest.fixture
def prefix() -> str:
    """A key space of this test's own: one of the namespaces is shared."""
    return f"t{secrets.token_hex(6)}"


def saver(place: KVPlace, prefix: str, **options: Any) -> CloudflareKVSaver:
    """A process that just started. What a simulator lists is the truth."""
    terms = {"prefix": prefix, "visibility": 0, "deadline": BUSY, "allowed_types": STORED_TYPES, **options}
    return CloudflareKVSaver.from_conn_string(place.url, api_token=place.api_token, **terms)


class Sample(Conformance):
    """LangGraph's own suite, by name of every capability, sync and async."""

    # Serializers know nothing of servers: strict mode is tested in memory, and need not start a simulator of its own.
    test_conformance_and_graphs_hold_in_strict_mode = None
    test_the_whole_contract_holds_in_strict_mode = None


class TestOnExplorer(places.OnExplorer, Sample):
    """Cloudflare's simulator."""


class TestOnGatewayKV(places.OnGatewayKV, Sample):
    """The gateway over KV."""


class TestOnGatewayDO(places.OnGatewayDO, Sample):
    """The gateway over Durable Objects."""


def test_setup_finds_the_namespace(place: KVPlace, prefix: str) -> None:
    """By the address and the token that were given."""
    with saver(place, prefix) as right:
        right.setup()


@pytest.mark.parametrize("mode", ["gateway_kv", "gateway_do"])
@pytest.mark.parametrize(
    ("wrong", "said"),
    [({"api_token": "wrong"}, "token"), ({"account_id": "0" * 32}, "403"), ({"namespace_id": "NO"}, "namespace")],
    ids=["token", "account", "namespace"],
)
def test_a_wrong_token_account_or_namespace_is_told(
    kv_simulator: KVSimulator, mode: str, wrong: dict[str, str], said: str
) -> None:
    """By the gateway as by the API, before anything is stored; the simulator's own API has none of the three."""
    place = replace(getattr(kv_simulator, mode)(), **wrong)
    with saver(place, "wrong") as lost, pytest.raises(StoreRefused, match=said):
        lost.put(at(), checkpoint(uid(1)), about(1), {})


def test_values_of_all_kinds_come_back(place: KVPlace, prefix: str) -> None:
    """Bytes and `None` among them: bulk reads know text alone."""
    with saver(place, prefix) as one, saver(place, prefix) as other:
        one.put(at("日/%2F..", "a:1|b"), checkpoint(uid(1), **VALUES), about(1, user="日"), {})
        one.put_writes(at("日/%2F..", "a:1|b", uid(1)), [("a", None), ("b", b"\x00\xff")], task(1), "p")
        (mine,), (theirs,) = one.list(None), other.list(None, filter={"user": "日"})
        assert theirs.pending_writes == [(task(1), "a", None), (task(1), "b", b"\x00\xff")]
        assert (repr(theirs.checkpoint), theirs.metadata) == (repr(mine.checkpoint), mine.metadata)


@pytest.mark.parametrize("way", ["sync", "async"])
def test_an_interrupt_is_answered_in_another_process(place: KVPlace, prefix: str, way: str) -> None:
    """In a subgraph, three levels deep."""
    with saver(place, prefix, visibility=120) as one:
        graph = graphs.nested(one, remembers=True)
        asked = (
            graph.invoke({"items": [0]}, at()) if way == "sync" else asyncio.run(graph.ainvoke({"items": [0]}, at()))
        )
        assert asked["__interrupt__"]
        state = worker.elsewhere(way, place, one.token("t"), prefix=prefix)
    assert state["items"][-1] == "yes"


def test_many_keys_are_listed_copied_and_deleted(place: KVPlace, prefix: str) -> None:
    """More than a page of any of these has."""
    with saver(place, prefix) as one, saver(place, prefix) as other:
        one.put(at(), checkpoint(uid(1)), about(1), {})
        for number in range(130):
            one.put_writes(at(id=uid(1)), [("c", number)], task(number), f"p{number:03}")
        other.copy_thread("t", "copy")
        found = one.get_tuple(at("copy"))
        assert found is not None
        assert [value for _, _, value in found.pending_writes or []] == [*range(130)]
        for thread in ("t", "copy"):
            other.delete_thread(thread)
        assert [*one.list(None)] == []


def test_runs_and_pruning_leave_what_they_should(place: KVPlace, prefix: str) -> None:
    """A run's index, keys that were written anew, deletions."""
    with saver(place, prefix) as one, saver(place, prefix) as other:
        for number, run in enumerate(("a", "b", "a", "b"), 1):
            parent = at(id=uid(number - 1)) if number > 1 else at()
            one.put(parent, checkpoint(uid(number), n=number), about(number, run_id=run), {})
        other.delete_for_runs(["a"])
        assert [each.checkpoint["id"] for each in one.list(anywhere("t"))] == [uid(4), uid(2)]
        other.prune(["t"])
        assert [each.checkpoint["id"] for each in one.list(anywhere("t"))] == [uid(4)]


@pytest.mark.parametrize("size", [18, 19, 25, 26])
def test_a_checkpoint_of_many_megabytes_is_stored_whole_or_refused(place: KVPlace, prefix: str, size: int) -> None:
    """What fits by our reckoning fits by Cloudflare's."""
    with saver(place, prefix) as one:
        made = checkpoint(uid(1), big=b"x" * (size * MIB))
        if size == 18:
            one.put(at(), made, about(1), {})
            with saver(place, prefix) as other:
                found = other.get_tuple(at())
            assert found is not None
            assert found.checkpoint["channel_values"] == made["channel_values"]
        else:
            with pytest.raises(CheckpointTooLarge):
                one.put(at(), made, about(1), {})


def test_a_ttl_is_taken(place: KVPlace, prefix: str) -> None:
    """By every kind of write."""
    with saver(place, prefix, ttl=3_600) as one:
        one.put(at(), checkpoint(uid(1)), about(1, run_id="r"), {})
        one.put_writes(at(id=uid(1)), [("c", 1)], task(1))
        transport = RestTransport.of_url(place.url, api_token=place.api_token)
        keys = transport.list_keys(prefix, 1_000, "").keys
        transport.close()
        assert len(keys) == 3
        assert all(each.expiration for each in keys)
