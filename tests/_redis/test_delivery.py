"""How a batch is delivered, step by step: the flow is played with a script of replies, no socket in sight."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import redis
from redis import exceptions

from langgraph_guard._redis import delivery
from langgraph_guard._redis.actions import Action, Ask, Deadline, Drop, Pause
from langgraph_guard._redis.clients import Direct, Place, Sharded, Terms, Topology, Watched
from langgraph_guard._redis.delivery import deliver
from langgraph_guard._redis.request import Batch, Pipelined, packed
from langgraph_guard._redis.routes import route_of
from langgraph_guard._redis.scripts import Script
from langgraph_guard.errors import StoreRefused, StoreUnavailable
from langgraph_guard.flow import run

GET: Batch = [("GET", "k")]
SLOT_OF_K = 7_629
HERE, THERE = Place("here", 1), Place("there", 2)
CLUSTER = Sharded((HERE,))
SLOTS = [[0, 16_383, [b"here", 1, b"id"]]]
SENTINELS = Watched("mine", (Place("s", 1, True), Place("t", 1, True)), Terms(redis.Connection, {}))


class Play:
    """Performs actions from a script; an exception in it is raised, what is left over is missed."""

    def __init__(self, *script: Any) -> None:
        self.script = list(script)
        self.seen: list[Action] = []

    def perform(self, actions: Sequence[Action]) -> list[Any]:
        self.seen += actions
        if not any(isinstance(action, Ask) for action in actions):
            return []
        reply = self.script.pop(0)
        if isinstance(reply, Exception):
            raise reply
        return list(reply)

    @property
    def asked(self) -> list[tuple[Place, bytes]]:
        return [(action.place, action.data) for action in self.seen if isinstance(action, Ask)]

    @property
    def places(self) -> list[Place]:
        return [place for place, _ in self.asked]

    def deliver(self, batch: Batch, topology: Topology, deadline: float = 10.0) -> list[Any]:
        return run(deliver(batch, route_of(topology), Deadline(deadline)), self.perform)


def error(text: str) -> redis.ResponseError:
    """As a driver that has no class for it reports it."""
    return redis.ResponseError(text)


def test_what_broke_is_sent_again_on_a_new_connection() -> None:
    """The other idle connections have met the same end: one failure is enough to know."""
    play = Play(redis.ConnectionError("gone"), [b"v"])
    assert play.deliver(GET, Direct()) == [b"v"]
    assert [type(action) for action in play.seen] == [Ask, Drop, Pause, Ask]


def test_what_cannot_be_helped_is_sent_once() -> None:
    """With the driver's own error as the cause."""
    refusal = exceptions.OutOfMemoryError("no")
    play = Play([refusal])
    with pytest.raises(StoreRefused) as caught:
        play.deliver(GET, Direct())
    assert caught.value.__cause__ is refusal
    assert len(play.seen) == 1


def test_nothing_to_do_is_not_asked_for() -> None:
    """A delete that found nothing sends nothing."""
    assert Play().deliver([], Direct()) == []


def test_one_attempt_is_made_however_short_the_deadline_is() -> None:
    """And no second one when no time is left."""
    play = Play(redis.ConnectionError("gone"))
    with pytest.raises(StoreUnavailable):
        play.deliver(GET, Direct(), deadline=1e-9)


def test_a_bug_is_not_taken_for_a_server_that_is_away() -> None:
    """It surfaces as what it is, at once."""
    with pytest.raises(ZeroDivisionError):
        Play(ZeroDivisionError()).deliver(GET, Direct())


def test_a_script_is_loaded_with_the_second_attempt() -> None:
    """In the same round trip, and without a pause; the replies to the loading are not the batch's."""
    script = Script("put", "return 1")
    play = Play([exceptions.NoScriptError("No matching script.")], [b"sha", b"OK", b"QUEUED", b"QUEUED", [1, 2]])
    batch: Batch = [(script, 1, "k"), (script, 1, "k")]
    play.script[0] = [b"OK", b"QUEUED", b"QUEUED", [exceptions.NoScriptError("No matching script."), 2]]
    assert play.deliver(batch, Direct()) == [1, 2]
    assert [type(action) for action in play.seen] == [Ask, Ask]
    assert play.asked[1][1] == packed([("SCRIPT", "LOAD", "return 1")]) + play.asked[0][1]


def test_a_script_that_may_not_be_loaded_is_a_refusal() -> None:
    """The permission that is missing is named once, not looked for until the deadline."""
    play = Play([exceptions.NoScriptError("no")], [exceptions.NoPermissionError("no"), exceptions.NoScriptError("no")])
    with pytest.raises(StoreRefused, match="no permission"):
        play.deliver([(Script("put", "return 1"), 1, "k")], Direct())


@pytest.mark.parametrize("reply", [exceptions.MovedError, error])
def test_moved_is_remembered(reply: Any) -> None:
    """The next batch goes there at once."""
    moved = reply(f"{SLOT_OF_K} there:2") if reply is not error else error(f"MOVED {SLOT_OF_K} there:2")
    play = Play([SLOTS], [moved], [b"v"], [b"w"])
    route = route_of(CLUSTER)
    for value in (b"v", b"w"):
        assert run(deliver(GET, route, Deadline(10)), play.perform) == [value]
    assert play.places == [HERE, HERE, THERE, THERE]


def test_ask_holds_for_one_request() -> None:
    """The slot is on its way; the map stays as it is."""
    play = Play([SLOTS], [error(f"ASK {SLOT_OF_K} there:2")], [b"OK", b"v"], [b"w"])
    route = route_of(CLUSTER)
    for value in (b"v", b"w"):
        assert run(deliver(GET, route, Deadline(10)), play.perform) == [value]
    assert play.places == [HERE, HERE, THERE, HERE]
    assert play.asked[2][1] == packed([("ASKING",), *GET])


def test_a_pipeline_that_is_sent_to_ask_elsewhere_goes_there_as_a_transaction() -> None:
    """ASKING is good for one command; and a key that is still on its way is no key that is missing."""
    batch = Pipelined([("GET", "k"), ("GET", "k")])
    queued = [b"OK", b"QUEUED", b"QUEUED", [b"v", b"v"]]
    play = Play([SLOTS], [b"v", error(f"ASK {SLOT_OF_K} there:2")], [b"OK", *queued])
    assert play.deliver(batch, CLUSTER) == [b"v", b"v"]
    assert [data for _, data in play.asked[1:]] == [packed(batch), packed([("ASKING",), ("MULTI",), *batch, ("EXEC",)])]


def test_a_redirection_without_a_host_means_the_one_that_was_asked() -> None:
    """That is what nodes say that do not know their own name."""
    play = Play([[[0, 16_383, [b"", 1, b"id"]]]], [error(f"MOVED {SLOT_OF_K} :9")], [b"v"])
    assert play.deliver(GET, CLUSTER) == [b"v"]
    assert play.places == [HERE, HERE, Place("here", 9)]


def test_servers_that_send_us_in_circles_are_given_time() -> None:
    """Two nodes that disagree would be asked ten thousand times a second."""
    circle = [[error(f"MOVED {SLOT_OF_K} {place.host}:{place.port}")] for place in (THERE, HERE)] * 3
    play = Play([SLOTS], *circle, [b"v"])
    assert play.deliver(GET, CLUSTER) == [b"v"]
    assert [type(action) for action in play.seen].count(Pause) == len(circle) - delivery.REDIRECTS


def test_an_address_is_mapped_as_the_client_maps_it() -> None:
    """A Cluster in a container names addresses that exist only there."""
    inside = Sharded((HERE,), remap=lambda address: (f"outside-{address[0]}", address[1] + 1))
    play = Play([SLOTS], [error(f"MOVED {SLOT_OF_K} there:2")], [b"v"])
    assert play.deliver(GET, inside) == [b"v"]
    assert play.places == [HERE, Place("outside-here", 2), Place("outside-there", 3)]


def test_a_node_that_is_gone_is_looked_up_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its replica has the slot now, and was heard of before: nobody has to ask the one that is gone."""
    monkeypatch.setattr("random.sample", lambda places, count: sorted(places, reverse=True))
    before = [[0, 16_383, [b"here", 1, b"id"], [b"there", 2, b"id"]]]
    after = [[0, 16_383, [b"there", 2, b"id"]]]
    play = Play([before], redis.ConnectionError("gone"), [after], [b"v"])
    assert play.deliver(GET, CLUSTER) == [b"v"]
    assert play.places == [HERE, HERE, THERE, THERE]


def test_what_is_known_of_other_nodes_stays() -> None:
    """One that is gone does not send everybody back to ask."""
    halves = [[0, 8_191, [b"here", 1, b"id"]], [8_192, 16_383, [b"there", 2, b"id"]]]
    route = route_of(CLUSTER)
    run(deliver(GET, route, Deadline(10)), Play([halves], [b"v"]).perform)
    route.doubt(HERE)
    assert (route.place(0), route.place(9_000)) == (None, THERE)


def test_a_master_that_is_gone_is_looked_up_again() -> None:
    """The first Sentinel that knows one is believed."""
    gone = redis.ConnectionError("gone")
    play = Play([[b"here", b"1"]], gone, gone, [[b"there", b"2"]], [b"v"])
    assert play.deliver(GET, SENTINELS) == [b"v"]
    assert play.places[1::3] == [HERE, THERE]
    assert set(play.places[2:4]) == set(SENTINELS.sentinels)


def test_a_master_that_was_demoted_is_looked_up_again() -> None:
    """It answers READONLY, on a connection that is as good as ever."""
    play = Play([[b"here", b"1"]], [redis.ReadOnlyError("no")], [[b"there", b"2"]], [b"OK"])
    assert play.deliver([("SET", "k", "v")], SENTINELS) == [b"OK"]
    assert play.places[1::2] == [HERE, THERE]


def test_a_sentinel_with_another_password_is_a_refusal() -> None:
    """The next Sentinel will not know better."""
    with pytest.raises(StoreRefused):
        Play(redis.AuthenticationError("no")).deliver(GET, SENTINELS)


def test_one_silent_server_does_not_use_up_all_the_time() -> None:
    """Half of what is left goes to an attempt, and all of it when it is little; the user's own time-out is less."""
    assert 4.9 < Deadline(10).patience() <= 5
    assert 0.4 < Deadline(0.5).patience() <= 0.5
    assert Deadline(10, patience=2.0).patience() == 2.0


def test_pauses_grow_and_stay_short() -> None:
    """From 10 to 500 ms, anywhere below: processes that failed together do not come back together."""
    assert all(0 <= delivery.pause(failures) <= min(0.5, 0.01 * 2**failures) for failures in range(50))
    assert len({delivery.pause(5) for _ in range(20)}) > 10
