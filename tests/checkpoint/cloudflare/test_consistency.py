"""What is written elsewhere is seen late. Nobody forks a thread by that without having been told.

The weather of most tests is what facts about the service allow: 1.5 s until a write is seen, by its writer too; 5 s for
which a read of what was not there is remembered; one write per second and key.
"""

from __future__ import annotations

import operator
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any

import pytest
from langgraph.graph import END, START, StateGraph
from langgraph.types import Command, interrupt
from typing_extensions import TypedDict

from langgraph_guard.checkpoint.cloudflare import CloudflareKVSaver, session
from langgraph_guard.errors import ConfigError, StaleCheckpoint
from langgraph_guard.testing import FakeClock
from langgraph_guard.testing.contracts.saver import graphs
from langgraph_guard.testing.contracts.saver.harness import about, at, task, uid
from tests.checkpoint.cloudflare import fronts, worker
from tests.checkpoint.cloudflare.fronts import checkpoint, young
from tests.servers.kv_front import KVFront
from tests.servers.kv_store import Weather
from tests.servers.kv_wire import Answer

LAG = 1.5


@pytest.fixture
def front() -> KVFront:
    """The weather."""
    return fronts.front(lag=LAG, negative=5.0, hot=1.0)


class State(TypedDict, total=False):
    """A list that grows, and an answer."""

    items: Annotated[list[str], operator.add]
    answer: str


def graph(saver: CloudflareKVSaver, *, asks: bool = False) -> Any:
    """Two nodes; the second may ask."""
    builder = StateGraph(State)
    builder.add_node("work", lambda state: {"items": [f"work {len(state['items'])}"]})
    builder.add_node("ask", lambda state: {"answer": interrupt("sure?")} if asks else {})
    builder.add_edge(START, "work")
    builder.add_edge("work", "ask")
    builder.add_edge("ask", END)
    return builder.compile(checkpointer=saver)


# In the process that wrote


@pytest.mark.parametrize("consistency", ["session", "eventual"])
def test_a_second_invoke_in_the_same_process_sees_everything(front: KVFront, consistency: Any) -> None:
    """Else it would begin from an empty state, in silence: the store lists nothing of the first."""
    app = graph(fronts.saver(front, consistency=consistency))
    app.invoke({"items": ["first"]}, at())
    state = app.invoke({"items": ["second"]}, at())
    assert state["items"] == ["first", "work 1", "second", "work 3"]
    assert front.clock.slept == []


async def test_a_second_ainvoke_in_the_same_process_sees_everything(front: KVFront) -> None:
    """The same on an event loop."""
    app = graph(fronts.saver(front))
    await app.ainvoke({"items": ["first"]}, at())
    assert (await app.ainvoke({"items": ["second"]}, at()))["items"] == ["first", "work 1", "second", "work 3"]


def test_what_this_process_deleted_is_gone_at_once(front: KVFront) -> None:
    """The store goes on listing it for a while."""
    saver = fronts.saver(front)
    saver.put(at(), checkpoint(uid(1)), about(1), {})
    front.clock.advance(LAG)
    saver.delete_thread("t")
    assert saver.get_tuple(at()) is None
    assert [*saver.list(None)] == []


def test_a_process_that_forgot_its_values_is_told_and_does_not_fork(front: KVFront) -> None:
    """Values are many; that a checkpoint was written is never forgotten, and no key is read before it is listed."""
    saver = fronts.saver(front, patience=0.1)
    saver.put(at(), checkpoint(uid(1), a="old"), about(1), {})
    front.clock.advance(LAG)
    saver.put(at(), checkpoint(uid(2), a="new"), about(2), {})
    saver._store.recent._values.clear()
    with pytest.raises(StaleCheckpoint):
        saver.get_tuple(at())


def test_own_writes_are_remembered_until_they_are_seen_everywhere_and_no_longer(front: KVFront) -> None:
    """What another process deleted would otherwise never go away."""
    saver, other = fronts.saver(front), fronts.saver(front)
    saver.put(at(), checkpoint(uid(1)), about(1), {})
    front.clock.advance(60)
    other.delete_thread("t")
    front.clock.advance(61)
    assert saver.get_tuple(at()) is None


def test_a_strongly_consistent_store_is_believed_at_once() -> None:
    """`visibility=0`: what another process deleted is gone, though this one wrote it a moment ago."""
    front = fronts.front()
    saver, other = fronts.saver(front, visibility=0), fronts.saver(front, visibility=0)
    saver.put(at(), checkpoint(uid(1)), about(1), {})
    other.delete_thread("t")
    assert saver.get_tuple(at()) is None


def test_of_two_answers_the_later_stays_whatever_the_clocks_say() -> None:
    """Who answers has read the question, and comes after it; its machine may be half a minute behind."""
    front = fronts.front()
    ahead = FakeClock(front.clock.now() + 30)
    asking = fronts.saver(front, visibility=0, clock=ahead)
    answering = fronts.saver(front, visibility=0)
    asking.put(at(), checkpoint(uid(1)), about(1), {})
    asking.put_writes(at(id=uid(1)), [("__resume__", "first")], task(1))
    assert answering.get_tuple(at()) is not None
    answering.put_writes(at(id=uid(1)), [("__resume__", "second")], task(1))
    found = asking.get_tuple(at())
    assert found is not None
    assert found.pending_writes == [(task(1), "__resume__", "second")]


# Clocks

A_DAY = 86_400.0


@pytest.mark.parametrize("ahead", [A_DAY, -A_DAY], ids=["ahead", "behind"])
def test_machines_whose_clocks_are_a_day_apart_share_a_thread(ahead: float) -> None:
    """Ids say what is newer, whatever the time was where they were made; nothing is waited for."""
    front = fronts.front()
    odd = FakeClock(front.clock.now() + ahead)
    one, other = fronts.saver(front, visibility=0), fronts.saver(front, visibility=0, clock=odd)
    for number, saver in enumerate((one, other, one, other), 1):
        saver.put(at(id=uid(number - 1)) if number > 1 else at(), checkpoint(uid(number)), about(number), {})
        saver.put_writes(at(id=uid(number)), [("c", number)], task(number))
    found = [[(each.checkpoint["id"], each.pending_writes) for each in saver.list(at())] for saver in (one, other)]
    assert found[0] == found[1] == [(uid(n), [(task(n), "c", n)]) for n in (4, 3, 2, 1)]
    assert (front.clock.slept, odd.slept) == ([], [])


def test_a_clock_that_is_a_day_ahead_blocks_no_thread(front: KVFront) -> None:
    """What it wrote would be a moment old until tomorrow, and its checkpoint, that never comes, waited for so long."""
    ahead = fronts.saver(front, clock=FakeClock(front.clock.now() + A_DAY))
    saver = fronts.saver(front)
    saver.put(at(), checkpoint(uid(1)), about(1), {})
    ahead.put_writes(at(id=uid(2)), [("a", 1)], task(1))
    front.clock.advance(LAG)
    found = saver.get_tuple(at())
    assert found is not None
    assert found.checkpoint["id"] == uid(1)
    assert saver.get_tuple(at(id=young(front, age=-A_DAY))) is None
    assert front.clock.slept == []


# In another process, with a token


def test_another_process_with_the_token_waits_and_sees_everything(front: KVFront) -> None:
    """It is what a web handler passes to the worker that goes on."""
    saver = fronts.saver(front)
    graph(saver).invoke({"items": ["first"]}, at())
    token = saver.token("t")
    app = graph(fronts.saver(front))
    state = app.invoke({"items": ["second"]}, at(kv_at_least=token))
    assert state["items"] == ["first", "work 1", "second", "work 3"]
    assert LAG <= sum(front.clock.slept) < 2 * LAG + 1


async def test_another_process_waits_on_its_event_loop(front: KVFront) -> None:
    """The same for `ainvoke`."""
    saver = fronts.saver(front)
    await graph(saver).ainvoke({"items": ["first"]}, at())
    state = await graph(fronts.saver(front)).aget_state(at(kv_at_least=saver.token("t")))
    assert state.values["items"] == ["first", "work 1"]


def test_a_checkpoint_id_is_a_token(front: KVFront) -> None:
    """Whoever has a config of the state has one."""
    saver = fronts.saver(front)
    app = graph(saver)
    app.invoke({"items": ["first"]}, at())
    id = app.get_state(at()).config["configurable"]["checkpoint_id"]
    assert graph(fronts.saver(front)).get_state(at(kv_at_least=id)).values["items"] == ["first", "work 1"]


@pytest.mark.parametrize("consistency", ["session", "eventual"])
def test_a_token_that_is_not_reached_in_time_is_an_error(front: KVFront, consistency: Any) -> None:
    """Whoever passes one wants no older state."""
    with pytest.raises(StaleCheckpoint, match="kv_at_least"):
        fronts.saver(front, consistency=consistency).get_tuple(at(kv_at_least=uid(1)))


def test_a_token_counts_writes_too(front: KVFront) -> None:
    """What parallel tasks finished must not be done again because it is not seen yet."""
    saver, other = fronts.saver(front), fronts.saver(front)
    saver.put(at(), checkpoint(uid(1)), about(1), {})
    front.clock.advance(LAG)
    saver.put_writes(at(id=uid(1)), [("a", 1)], task(1))
    found = other.get_tuple(at(kv_at_least=saver.token("t")))
    assert found is not None
    assert found.pending_writes == [(task(1), "a", 1)]


def test_a_token_speaks_of_each_namespace(front: KVFront) -> None:
    """A subgraph's state may be seen later than its parent's."""
    saver, other = fronts.saver(front), fronts.saver(front, patience=0)
    saver.put(at(), checkpoint(uid(1)), about(1), {})
    front.clock.advance(LAG)
    saver.put(at(ns="sub"), checkpoint(uid(2)), about(1), {})
    token = saver.token("t")
    assert other.get_tuple(at(kv_at_least=token)) is not None
    with pytest.raises(StaleCheckpoint):
        other.get_tuple(at(ns="sub", kv_at_least=token))


def test_a_process_that_wrote_nothing_lately_has_no_token(front: KVFront) -> None:
    """Everything is visible everywhere then; an empty token asks for nothing."""
    saver = fronts.saver(front)
    saver.put(at(), checkpoint(uid(1)), about(1), {})
    front.clock.advance(121)
    assert saver.token("t") == ""
    assert fronts.saver(front).get_tuple(at(kv_at_least="")) is not None


@pytest.mark.parametrize("token", [7, "kv1.", "kv1.%%%", "kv1.WzFd", "kv1.eyI9IjogW119"], ids=repr)
def test_what_is_no_token_is_refused(front: KVFront, token: Any) -> None:
    """By its name, before anything is asked."""
    with pytest.raises(ConfigError, match="kv_at_least"):
        fronts.saver(front).get_tuple(at(kv_at_least=token))


def test_a_token_does_not_become_metadata(front: KVFront) -> None:
    """Every scalar of `configurable` does; this one is about a moment."""
    saver = fronts.saver(front)
    saver.put(at(kv_at_least="kv1.e30=", user="u"), checkpoint(uid(1)), about(1), {})
    found = saver.get_tuple(at())
    assert found is not None
    assert {"kv_at_least", "user"}.intersection(found.metadata) == {"user"}


class Passing(KVFront):
    """So many seconds pass with each list that is asked for."""

    seconds = 0.0

    def answer(self, method: str, target: str, body: bytes, headers: Mapping[str, str]) -> tuple[Answer, int | None]:
        if method == "GET":
            self.clock.advance(self.seconds)  # type: ignore[attr-defined]
        return super().answer(method, target, body, headers)


def test_a_process_of_its_own_with_the_token_waits_and_answers() -> None:
    """Through a socket, in a subgraph three levels deep; nothing is visible yet when the process begins."""
    front = Passing(FakeClock(), Weather(lag=LAG, negative=5.0, hot=1.0))
    with front.served() as place:
        with CloudflareKVSaver.from_conn_string(place.url, api_token=place.api_token, deadline=fronts.BUSY) as saver:
            graphs.nested(saver, remembers=True).invoke({"items": [0]}, at())
            token = saver.token("t")
        front.forget()
        front.seconds = LAG / 3
        state = worker.elsewhere("sync", place, token, patience=fronts.BUSY)
    assert state["items"][-1] == "yes"
    assert front.calls[:3] == ["GET keys"] * 3


# In another process, without a token


def test_writes_without_their_checkpoint_are_a_sign_and_it_is_waited_for(front: KVFront) -> None:
    """They are newer than anything that is listed, so there is more."""
    saver, other = fronts.saver(front), fronts.saver(front)
    saver.put_writes(at(id=uid(2)), [("a", 1)], task(1))
    front.clock.advance(LAG / 2)
    saver.put(at(), checkpoint(uid(2), a="new"), about(1), {})
    front.clock.advance(LAG / 2)
    found = other.get_tuple(at())
    assert found is not None
    assert found.checkpoint["id"] == uid(2)


def test_writes_whose_checkpoint_does_not_come_are_told(front: KVFront) -> None:
    """Going on from the one before would fork the thread."""
    saver, other = fronts.saver(front), fronts.saver(front)
    saver.put(at(), checkpoint(uid(1)), about(1), {})
    saver.put_writes(at(id=uid(2)), [("a", 1)], task(1))
    front.clock.advance(LAG)
    with pytest.raises(StaleCheckpoint) as caught:
        other.get_tuple(at())
    assert (caught.value.signal, caught.value.retry_after) == (session.EARLY, 120.0)


def test_writes_of_a_run_that_died_are_no_sign_for_long(front: KVFront) -> None:
    """Its checkpoint never comes; the thread goes on from the one before."""
    saver, other = fronts.saver(front), fronts.saver(front)
    saver.put(at(), checkpoint(uid(1)), about(1), {})
    saver.put_writes(at(id=uid(2)), [("a", 1)], task(1))
    front.clock.advance(121)
    found = other.get_tuple(at())
    assert found is not None
    assert found.checkpoint["id"] == uid(1)


def test_a_young_id_that_is_not_listed_is_waited_for(front: KVFront) -> None:
    """An id carries the time when it was made."""
    id = young(front)
    fronts.saver(front).put(at(), checkpoint(id), about(1), {})
    found = fronts.saver(front).get_tuple(at(id=id))
    assert found is not None
    assert sum(front.clock.slept) >= LAG


def test_a_young_id_that_does_not_come_is_told(front: KVFront) -> None:
    """`None` would say that it never was."""
    with pytest.raises(StaleCheckpoint) as caught:
        fronts.saver(front).get_tuple(at(id=young(front)))
    assert caught.value.signal == session.UNLISTED


def test_an_old_id_that_is_not_listed_does_not_exist(front: KVFront) -> None:
    """Nothing to wait for."""
    assert fronts.saver(front).get_tuple(at(id=young(front, age=121))) is None
    assert front.clock.slept == []


def test_a_young_id_that_this_process_deleted_does_not_exist(front: KVFront) -> None:
    """It knows why it is not there."""
    saver, id = fronts.saver(front), young(front)
    saver.put(at(), checkpoint(id), about(1), {})
    saver.delete_thread("t")
    assert saver.get_tuple(at(id=id)) is None


def test_an_eventual_reader_takes_what_there_is(front: KVFront) -> None:
    """It was asked not to wait."""
    saver, other = fronts.saver(front), fronts.saver(front, consistency="eventual")
    saver.put(at(), checkpoint(uid(1)), about(1), {})
    saver.put_writes(at(id=uid(2)), [("a", 1)], task(1))
    front.clock.advance(LAG)
    found = other.get_tuple(at())
    assert found is not None
    assert found.checkpoint["id"] == uid(1)
    assert other.get_tuple(at(id=young(front))) is None
    assert front.clock.slept == []


def test_nothing_is_read_before_it_is_listed(front: KVFront) -> None:
    """A read of a key that is not there yet is remembered for longer than the lag: it would be seen after 5 s."""
    saver, other = fronts.saver(front), fronts.saver(front)
    saver.put(at(), checkpoint(uid(1)), about(1), {})
    found = other.get_tuple(at(kv_at_least=uid(1)))
    assert found is not None
    assert sum(front.clock.slept) < 3.0
    assert front.calls.count("POST bulk/get") == 1


def test_an_interrupt_is_answered_in_another_process(front: KVFront) -> None:
    """With its token, at once; what was asked and what was done are there."""
    saver = fronts.saver(front)
    asked = graph(saver, asks=True).invoke({"items": ["in"]}, at())
    assert asked["__interrupt__"][0].value == "sure?"
    other = graph(fronts.saver(front), asks=True)
    state = other.invoke(Command(resume="yes"), at(kv_at_least=saver.token("t")))
    assert (state["answer"], state["items"]) == ("yes", ["in", "work 1"])


def test_an_id_tells_when_it_was_made() -> None:
    """One of LangGraph's own, and the time that its checkpoint bears."""
    made = session.made_at("1f1e5e4e-7fb7-6cd6-8002-cd8a243f697b")
    assert made == pytest.approx(datetime(2026, 11, 21, 19, 51, 13, 251844, tzinfo=UTC).timestamp(), abs=0.01)


@pytest.mark.parametrize("id", ["", "latest", "7f0e3e0e-8a52-4d55-8f0a-5b7f0f8f5a11"])
def test_another_id_tells_nothing(id: str) -> None:
    """Users may choose theirs."""
    assert session.made_at(id) is None
