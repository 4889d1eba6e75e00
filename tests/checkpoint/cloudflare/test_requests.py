"""How much is asked for: every request counts for the rate limit; writes, lists and deletions are what is billed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from langgraph_guard.testing.contracts.saver import graphs
from langgraph_guard.testing.contracts.saver.delta import delta_graph
from langgraph_guard.testing.contracts.saver.harness import about, anywhere, at, task, uid
from tests.checkpoint.cloudflare import fronts
from tests.checkpoint.cloudflare.fronts import checkpoint
from tests.servers.kv_front import KVFront


@pytest.fixture
def front() -> KVFront:
    """A store that is no different at a second look."""
    return fronts.front()


def cost(front: KVFront, call: Callable[[], Any]) -> list[str]:
    """What `call` asks for, in a process that just started."""
    front.forget()
    call()
    return front.calls


def fill(front: KVFront, count: int, writes: int = 1, **metadata: Any) -> None:
    """Checkpoints of one thread, with writes."""
    saver = fronts.saver(front)
    for number in range(1, count + 1):
        parent = at(id=uid(number - 1)) if number > 1 else at()
        saver.put(parent, checkpoint(uid(number), n=number), about(number, odd=number % 2, **metadata), {})
        for who in range(writes):
            saver.put_writes(at(id=uid(number)), [("c", who)], task(who), "p")


def test_the_latest_is_one_list_and_one_read(front: KVFront) -> None:
    """Its writes stand beside it."""
    fill(front, 30)
    saver = fronts.saver(front)
    assert cost(front, lambda: saver.get_tuple(at())) == ["GET keys", "POST bulk/get"]


def test_the_latest_of_ones_own_is_one_list(front: KVFront) -> None:
    """Another process may have written a newer one; the values are known."""
    saver = fronts.saver(front)
    saver.put(at(), checkpoint(uid(1)), about(1), {})
    assert cost(front, lambda: saver.get_tuple(at())) == ["GET keys"]


def test_one_by_its_id_is_one_list_and_one_read(front: KVFront) -> None:
    """It is listed first: a key that is not there yet must not be asked for."""
    fill(front, 30)
    saver = fronts.saver(front)
    assert cost(front, lambda: saver.get_tuple(at(id=uid(3)))) == ["GET keys", "POST bulk/get"]


def test_a_put_is_one_write(front: KVFront) -> None:
    """And so is what a task wrote, however much."""
    saver = fronts.saver(front)
    assert cost(front, lambda: saver.put(at(), checkpoint(uid(1)), about(1), {})) == ["PUT bulk"]
    assert cost(front, lambda: saver.put_writes(at(id=uid(1)), [("c", 1)] * 50, task(1))) == ["PUT bulk"]
    assert len(fronts.names(front)) == 2


def test_a_run_is_indexed_once(front: KVFront) -> None:
    """Its first checkpoint is two writes, and the rest are one each."""
    saver = fronts.saver(front)
    for number in range(1, 6):
        saver.put(at(), checkpoint(uid(number)), about(number, run_id="r"), {})
    assert len(fronts.names(front)) == 6
    assert front.calls == ["PUT bulk"] * 5


def test_a_history_is_a_list_for_a_thousand_keys_and_a_read_for_a_hundred(front: KVFront) -> None:
    """120 checkpoints and as many writes."""
    fill(front, 120)
    saver = fronts.saver(front)
    calls = cost(front, lambda: list(saver.list(at())))
    assert (calls.count("GET keys"), calls.count("POST bulk/get")) == (1, 4)


def test_a_filter_reads_no_value_that_its_keys_rule_out(front: KVFront) -> None:
    """Metadata stands in the metadata of keys, which lists carry."""
    fill(front, 60, writes=0)
    saver = fronts.saver(front)
    for wanted in ({"odd": 7}, {"nothing": 1}, {"odd": 1, "source": "input"}):
        assert cost(front, partial(list, saver.list(at(), filter=wanted))) == ["GET keys"]
    assert cost(front, lambda: list(saver.list(at(), filter={"odd": 1}, limit=3))) == ["GET keys", "POST bulk/get"]


def test_a_short_list_is_a_short_page(front: KVFront) -> None:
    """Time travel into a subgraph asks for one."""
    fill(front, 60)
    saver = fronts.saver(front)
    assert cost(front, lambda: list(saver.list(at(), limit=1))) == ["GET keys", "POST bulk/get"]
    assert front.requests[0].query["limit"] == "100"


def test_a_wide_fan_out_is_read_in_hundreds(front: KVFront) -> None:
    """150 tasks, 151 values."""
    fill(front, 1, writes=150)
    saver = fronts.saver(front)
    assert cost(front, lambda: saver.get_tuple(at())).count("POST bulk/get") == 2


async def test_a_thousand_tasks_of_one_superstep_are_read_whole(front: KVFront) -> None:
    """In the order of their paths; one list more, and a read for a hundred."""
    saver = fronts.saver(front)
    await saver.aput(at(), checkpoint(uid(1)), about(1), {})
    calls = [
        saver.aput_writes(at(id=uid(1)), [("c", who), ("d", None)], task(who), f"{who:04}") for who in range(1_000)
    ]
    await asyncio.gather(*calls)
    assert front.calls.count("PUT bulk") < 10
    front.forget()
    found = fronts.saver(front).get_tuple(at())
    assert found is not None
    assert found.pending_writes == [
        write for who in range(1_000) for write in [(task(who), "c", who), (task(who), "d", None)]
    ]
    assert (front.calls.count("GET keys"), front.calls.count("POST bulk/get")) == (2, 11)


@pytest.mark.parametrize("turns", [4, 12])
def test_the_history_of_a_delta_channel_is_a_list_and_few_reads(front: KVFront, turns: int) -> None:
    """LangGraph's own walk asks twice for each ancestor."""
    graph = delta_graph(fronts.saver(front))
    for turn in range(turns):
        graph.invoke({"items": [turn]}, at())
    saver = fronts.saver(front)
    latest = saver.get_tuple(at())
    assert latest is not None
    calls = cost(
        front, lambda: saver.get_delta_channel_history(config=latest.config, channels=["items", "rare", "never"])
    )
    assert calls.count("GET keys") == 2  # the checkpoint, and its namespace
    assert calls.count("POST bulk/get") <= 1 + turns * 4 // 48


def test_deleting_a_thread_is_a_list_and_a_deletion(front: KVFront) -> None:
    """In all its namespaces."""
    fill(front, 50)
    saver = fronts.saver(front)
    assert cost(front, lambda: saver.delete_thread("t")) == ["GET keys", "POST bulk/delete"]
    assert fronts.names(front) == []


def test_pruning_reads_the_newest_alone(front: KVFront) -> None:
    """A thread without delta channels needs no more of its past than its keys."""
    fill(front, 50, run_id="r")
    saver = fronts.saver(front)
    calls = cost(front, lambda: saver.prune(["t"]))
    assert calls == ["GET keys", "POST bulk/get", "PUT bulk", "POST bulk/delete"]
    assert len(fronts.names(front)) == 3  # a checkpoint, a write, and the run's index


def test_deleting_a_run_reads_no_value(front: KVFront) -> None:
    """Its index says where, and keys say which."""
    fill(front, 20, run_id="r")
    saver = fronts.saver(front)
    assert cost(front, lambda: saver.delete_for_runs(["r"])) == ["GET keys", "GET keys", *["POST bulk/delete"] * 2]
    assert fronts.names(front) == []


def test_a_copy_is_a_read_and_a_write_for_a_hundred(front: KVFront) -> None:
    """Values travel as they are."""
    fill(front, 60)
    saver = fronts.saver(front)
    calls = cost(front, lambda: saver.copy_thread("t", "copy"))
    assert sorted(calls) == ["GET keys"] * 2 + ["POST bulk/get"] * 2 + ["PUT bulk"] * 2
    assert len(fronts.names(front)) == 240


def test_an_invoke_of_five_steps_asks_once_and_writes_its_supersteps(front: KVFront) -> None:
    """7 checkpoints and the writes of 6 tasks: what is billed does not depend on how requests are shared."""
    graph = graphs.steps(fronts.saver(front, group_window=0.2), "abcde")
    graph.invoke({"items": ["in"]}, at())
    assert front.calls.count("GET keys") == 1
    assert len(fronts.names(front)) == 13


def test_what_is_removed_leaves_nothing_of_its_thread(front: KVFront) -> None:
    """A right to be forgotten holds for names in indexes, too."""
    fill(front, 3, run_id="r")
    saver = fronts.saver(front)
    saver.put(at(ns="sub:1"), checkpoint(uid(9)), about(1, run_id="other"), {})
    saver.delete_thread("t")
    assert fronts.names(front) == []


def test_runs_whose_checkpoints_were_pruned_are_not_indexed_any_more(front: KVFront) -> None:
    """And those that have some left are."""
    saver = fronts.saver(front)
    for number, run in enumerate(("old", "both", "both"), 1):
        saver.put(at(), checkpoint(uid(number)), about(number, run_id=run), {})
    saver.prune(["t"])
    assert [key for key in fronts.names(front) if "/r/" in key] == ["lgg1/=/r/both/t/="]


def test_a_run_that_goes_on_after_it_was_deleted_is_indexed_again(front: KVFront) -> None:
    """By the same process at once; by another one after ten minutes."""
    saver, other = fronts.saver(front, visibility=0), fronts.saver(front, visibility=0)
    for number, each in enumerate((saver, other), 1):
        each.put(at(), checkpoint(uid(number)), about(number, run_id="r"), {})
    saver.delete_for_runs(["r"])
    saver.put(at(), checkpoint(uid(3)), about(3, run_id="r"), {})
    saver.delete_for_runs(["r"])
    front.clock.advance(601)
    other.put(at(), checkpoint(uid(4)), about(4, run_id="r"), {})
    saver.delete_for_runs(["r"])
    assert fronts.names(front) == []


def test_a_checkpoint_that_is_put_again_is_pruned_to_its_last_form(front: KVFront) -> None:
    """Each put has a key of its own; the older ones are of no use."""
    saver = fronts.saver(front)
    for mood in "abc":
        saver.put(at(), checkpoint(uid(1)), about(1, mood=mood), {})
    saver.prune(["t"])
    assert len(fronts.names(front)) == 1
    assert [each.metadata.get("mood") for each in saver.list(anywhere("t"))] == ["c"]


def test_a_prune_does_not_take_the_place_of_a_later_put(front: KVFront) -> None:
    """What it writes anew without a parent is as old as what it replaces."""
    saver, other = fronts.saver(front), fronts.saver(front)
    saver.put(at(), checkpoint(uid(1)), about(1), {})
    saver.put(at(id=uid(1)), checkpoint(uid(2), a="old"), about(2), {})
    wire, sent = fronts.transport(front), list[bool]()
    cleaner = fronts.over(wire, front)
    put_many = wire.put_many

    def late(pairs: Any) -> list[str]:
        front.clock.advance(1)
        other.put(at(), checkpoint(uid(2), a="new"), about(2), {})
        sent.append(True)
        return put_many(pairs)

    wire.put_many = late  # type: ignore[method-assign]
    cleaner.prune(["t"])
    assert sent
    found = fronts.saver(front).get_tuple(at())
    assert found is not None
    assert found.checkpoint["channel_values"] == {"a": "new"}
