"""What the benchmarks of `RedisSaver` compare is what they say."""

from __future__ import annotations

import pytest
from langgraph.checkpoint.memory import InMemorySaver

from benchmarks import deltas, savers, servers
from benchmarks.calling import Clock, session
from benchmarks.peers import BARE, BOTH, MEMORY, OFFICIAL, PEERS, POSTGRES, SQLITE, How
from benchmarks.servers import Servers
from benchmarks.supersteps import OPERATIONS, on, record


def test_what_cannot_be_measured_here_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody should take silence about a peer for a result."""
    monkeypatch.setattr(servers.shutil, "which", lambda name: None)
    said = [row.claim for row in deltas.rows(rounds=1) if row.ratio is None]
    assert len(said) == 2
    for claim, name in zip(said, (POSTGRES, OFFICIAL), strict=True):
        assert claim.startswith(f"deltas: skipped, {name}: no ")


def test_a_thread_is_made_by_the_calls_of_a_real_graph() -> None:
    """A replay that sent less than LangGraph does would flatter everyone."""
    recorded = record(InMemorySaver(), 12)
    told = [call.arguments[2] for call in recorded.calls if call.name == "put"]
    assert [metadata["source"] for metadata in told] == ["input", *["loop"] * 11]
    assert {call.name for call in recorded.calls} == {"put", "put_writes"}


def test_a_replayed_thread_is_the_recorded_one_under_another_name() -> None:
    """What is read and listed afterwards has to be there, whole."""
    saver = InMemorySaver()
    for call in record(saver, 12).calls:
        again = on("there", call)
        getattr(saver, again.name)(*again.arguments)
    (newest, *older) = saver.list({"configurable": {"thread_id": "there", "checkpoint_ns": ""}})
    assert len(newest.checkpoint["channel_values"]["messages"]) == 12
    assert len(older) == 11


@pytest.mark.parametrize("how", BOTH)
@pytest.mark.parametrize("name", [MEMORY, SQLITE])
def test_every_operation_of_a_visit_is_measured(how: How, name: str) -> None:
    """A column that stayed empty would look like a saver without that operation."""
    with session(PEERS[name], how, 0) as opened:
        seconds = opened.perform(record(opened.saver, 10).visit("thread", 2, 1), Clock())
    assert {operation: len(values) for operation, values in seconds.items()} == {
        "put": 2,
        "put_writes": 2,
        "get_tuple": 2,
        "list": 1,
    }
    assert set(seconds) == set(OPERATIONS)


def test_the_bare_client_sends_as_much_as_ours_does() -> None:
    """The limit is no limit if it carries less."""
    with servers.redis() as port:
        there = Servers({"redis": port}, {"stack": "not asked for", "postgres": "not asked for"})
        found = savers.Measured((2, 3, 4), {})
        savers.weigh(there, found)
        sent = found.of("sync", "RedisSaver", 3).traffic["put"].sent
        with savers.FaultProxy(servers.HOST, port) as proxy, session(PEERS[BARE], "sync", proxy.port) as bare:
            traffic = bare.perform(savers.NewBytes(sent).visit("thread", 0, 0), savers.Wire(proxy))["put"]
    assert traffic[-1].sent == pytest.approx(sent, rel=0.03)
