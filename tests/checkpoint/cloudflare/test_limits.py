"""Limits: what cannot be stored is refused before anything is sent, and what can is stored whole."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest

from langgraph_guard.checkpoint.cloudflare import layout
from langgraph_guard.checkpoint.cloudflare.commits import MOST_CHARACTERS, MOST_PAIRS
from langgraph_guard.checkpoint.cloudflare.layout import head_metadata
from langgraph_guard.checkpoint.cloudflare.records import LONGEST_VALUE
from langgraph_guard.errors import CheckpointTooLarge, ConfigError, CorruptCheckpoint
from langgraph_guard.testing.contracts.saver.delta import delta_graph
from langgraph_guard.testing.contracts.saver.harness import about, at, task, uid
from tests.checkpoint.cloudflare import fronts
from tests.checkpoint.cloudflare.fronts import checkpoint
from tests.servers.kv import EXAMPLE
from tests.servers.kv_front import KVFront

MIB = 2**20


@pytest.fixture
def front() -> KVFront:
    """It refuses what the service refuses."""
    return fronts.front()


@pytest.mark.parametrize("size", [18, 19, 25, 26])
def test_a_checkpoint_of_many_megabytes_is_stored_whole_or_refused(front: KVFront, size: int) -> None:
    """18 MiB fit into 25 MiB of base64; of more nothing is sent, and the error names what takes the room."""
    saver = fronts.saver(front)
    made = checkpoint(uid(1), big=b"x" * (size * MIB), small=b"y", other="z" * 100)
    if size == 18:
        saver.put(at(), made, about(1), {})
        found = fronts.saver(front).get_tuple(at())
        assert found is not None
        assert found.checkpoint["channel_values"] == made["channel_values"]
        return
    with pytest.raises(CheckpointTooLarge) as caught:
        saver.put(at(), made, about(1), {})
    assert caught.value.limit == LONGEST_VALUE
    assert [name for name, _ in caught.value.largest] == ["big", "other", "small"]
    assert front.calls == []


def test_a_write_that_is_too_large_is_refused(front: KVFront) -> None:
    """A tool's result is where it comes from."""
    with pytest.raises(CheckpointTooLarge, match="result") as caught:
        fronts.saver(front).put_writes(at(id=uid(1)), [("a", 1), ("result", b"x" * (20 * MIB))], task(1))
    assert caught.value.largest[0][0] == "result"
    assert front.calls == []


def test_compressed_more_fits(front: KVFront) -> None:
    """Text does; bytes that look random do not."""
    saver = fronts.saver(front, compress=True)
    saver.put(at(), checkpoint(uid(1), big="x" * (26 * MIB)), about(1), {})
    found = fronts.saver(front, compress=True).get_tuple(at())
    assert found is not None
    assert len(found.checkpoint["channel_values"]["big"]) == 26 * MIB


def test_what_travels_together_is_no_more_than_a_gateway_takes() -> None:
    """It has a smaller limit than the API; what it refuses would be sent again, each for itself."""
    (limit,) = re.findall(r"bulkBytes: ([\d_]+)", (EXAMPLE / "worker.js").read_text())
    beside = layout.LONGEST_KEY + layout.MOST_METADATA + 80
    assert MOST_CHARACTERS + MOST_PAIRS * beside <= int(limit)


def test_a_value_that_no_bulk_read_can_carry_is_read_by_itself(front: KVFront) -> None:
    """Their answer has 25 MB; a hundred small ones beside it have one of their own."""
    saver = fronts.saver(front)
    saver.put(at(), checkpoint(uid(1), big=b"x" * (18 * MIB)), about(1), {})
    for number in range(2, 6):
        saver.put(at(), checkpoint(uid(number), big=b"x" * (6 * MIB)), about(number), {})
    front.forget()
    assert len([*fronts.saver(front).list(at())]) == 5
    assert (front.calls.count("GET values"), front.calls.count("POST bulk/get")) == (1, 4)


@pytest.mark.parametrize(
    "thread", ["/", "%", "%2F", "..", ".", "é", "../../x", "a/b", "~", "=", "日" * 680, "x" * 1_024]
)
@pytest.mark.parametrize("ns", ["", "..", "a:1|b:2", "n" * 4_096])
def test_names_of_any_kind_make_keys_that_fit(front: KVFront, thread: str, ns: str) -> None:
    """Two kilobytes of UTF-8 among them; the names themselves come back."""
    saver = fronts.saver(front, prefix="p" * 64, tenant="ü" * 100)
    saver.put(at(thread, ns), checkpoint(uid(1)), about(1, run_id=thread), {})
    saver.put_writes(at(thread, ns, uid(1)), [("c", 1)], task(1))
    assert max(len(key.encode()) for key in fronts.names(front)) <= layout.LONGEST_KEY
    (found,) = fronts.saver(front, prefix="p" * 64, tenant="ü" * 100).list(None)
    assert found.config == at(thread, ns, uid(1))


@pytest.mark.parametrize(("field", "length"), [("thread_id", 2_048), ("thread_id", 100_000), ("checkpoint_ns", 5_000)])
def test_a_name_that_is_too_long_is_refused(front: KVFront, field: str, length: int) -> None:
    """Before anything is sent; the error says how long it is, and how long it may be."""
    saver, config = fronts.saver(front), at(id=uid(1))
    config["configurable"][field] = "x" * length
    for call in (
        lambda: saver.put(config, checkpoint(uid(2)), about(1), {}),
        lambda: saver.put_writes(config, [("c", 1)], task(1)),
        lambda: saver.get_tuple(config),
    ):
        with pytest.raises(ConfigError, match=rf"{field}: has {length} characters; the limit is"):
            call()
    assert front.calls == []


@pytest.mark.parametrize("length", [300, 1_024])
def test_a_checkpoint_id_that_leaves_no_room_is_refused(front: KVFront, length: int) -> None:
    """Before anything is sent; ids of 200 characters fit."""
    saver = fronts.saver(front)
    saver.put(at(), checkpoint("i" * 200), about(1), {})
    front.forget()
    for call in (
        lambda: saver.put(at(), checkpoint("i" * length), about(1), {}),
        lambda: saver.put_writes(at(id="i" * length), [("c", 1)], task(1)),
        lambda: saver.get_tuple(at(id="i" * length)),
    ):
        with pytest.raises(ConfigError, match=r"checkpoint_id: makes a key of \d+ bytes; the limit .* is 512"):
            call()
    assert front.calls == []


@pytest.mark.parametrize(
    "metadata",
    [
        {f"key{number}": "x" * 20 for number in range(60)},
        {"big": "日" * 1_000},
        {"user": "u", "deep": {"a": 1}},
        {"float": float("nan"), "large": 2**60},
    ],
    ids=["many", "long", "deep", "odd"],
)
def test_metadata_that_a_key_cannot_hold_is_found_all_the_same(front: KVFront, metadata: dict[str, Any]) -> None:
    """A key has 1,024 bytes of it. What does not fit is read with the value."""
    saver = fronts.saver(front)
    saver.put(at(), checkpoint(uid(1)), about(1, **metadata), {})
    name, value = next(iter(metadata.items()))
    assert len([*saver.list(at(), filter={name: value})]) == (value == value)
    assert [*saver.list(at(), filter={name: "other"})] == []
    assert [*saver.list(at(), filter={"nothing": 1})] == []


def test_encrypted_metadata_is_not_in_keys() -> None:
    """They are plain text for everyone who can list."""
    told = head_metadata(9, "run", {"user": "secret", "counters_since_delta_snapshot": {"a": [1, 1]}}, plain=False)
    assert told == {"s": 9, "r": "run", "d": 1}


# Expiry


@pytest.mark.parametrize("ttl", [0, 59, 59.9, -1, True, "1h", timedelta(seconds=59), float("inf")], ids=repr)
def test_a_ttl_that_workers_kv_would_refuse_is_refused_at_once(front: KVFront, ttl: Any) -> None:
    """Not in the tenth superstep."""
    with pytest.raises(ConfigError, match="ttl"):
        fronts.saver(front, ttl=ttl)


def test_what_has_expired_is_gone(front: KVFront) -> None:
    """Of this process's own too, though it remembers to have written it."""
    saver = fronts.saver(front, ttl=60, visibility=300)
    saver.put(at(), checkpoint(uid(1)), about(1), {})
    saver.put_writes(at(id=uid(1)), [("c", 1)], task(1))
    assert saver.get_tuple(at()) is not None
    front.clock.advance(61)
    assert saver.get_tuple(at()) is None
    assert fronts.names(front) == []


def test_a_thread_that_is_used_keeps_its_latest(front: KVFront) -> None:
    """Its history gets shorter: parents go before their children."""
    saver = fronts.saver(front, ttl=timedelta(minutes=2))
    for number in range(1, 5):
        saver.put(at(id=uid(number - 1)) if number > 1 else at(), checkpoint(uid(number)), about(number), {})
        front.clock.advance(50)
    assert [each.checkpoint["id"] for each in saver.list(at())] == [uid(4), uid(3)]


def test_an_index_outlives_what_it_names(front: KVFront) -> None:
    """Else a run could not be deleted any more."""
    saver = fronts.saver(front, ttl=60, visibility=0)
    for number in range(1, 30):
        saver.put(at(), checkpoint(uid(number)), about(number, run_id="r"), {})
        front.clock.advance(59)
    saver.delete_for_runs(["r"])
    assert fronts.names(front) == []


def test_a_delta_channel_whose_path_expired_is_an_error_and_no_wrong_value(front: KVFront) -> None:
    """What is left of its writes would make a shorter list, and nobody would know."""
    graph = delta_graph(fronts.saver(front, ttl=600))
    graph.invoke({"items": [0]}, at())
    front.clock.advance(500)
    graph.invoke({"items": [1]}, at())
    front.clock.advance(200)
    with pytest.raises(CorruptCheckpoint, match="ttl"):
        graph.get_state(at())


@pytest.mark.parametrize("parent", [1, 2], ids=["gone", "itself"])
def test_a_path_that_ends_and_counts_nothing_before_is_given_as_it_is(front: KVFront, parent: int) -> None:
    """A parent that was never there, or a way that comes round, has not expired: there is nothing to be missed."""
    saver = fronts.saver(front, ttl=600)
    saver.put(at(id=uid(parent)), checkpoint(uid(2)), about(2), {})
    saver.put(at(id=uid(2)), checkpoint(uid(3)), about(3), {})
    saver.put_writes(at(id=uid(2)), [("items", [2])], task(1))
    history = saver.get_delta_channel_history(config=at(id=uid(3)), channels=["items"])
    assert history == {"items": {"writes": [(task(1), "items", [2])]}}


def test_a_copy_and_a_prune_do_not_prolong(front: KVFront) -> None:
    """By more than the service makes them: an expiry is a minute away at least."""
    saver = fronts.saver(front, ttl=600, visibility=0)
    saver.put(at(), checkpoint(uid(1)), about(1), {})
    saver.put(at(id=uid(1)), checkpoint(uid(2)), about(2), {})
    front.clock.advance(400)
    saver.copy_thread("t", "copy")
    saver.prune(["t"])
    front.clock.advance(201)
    assert fronts.names(front) == []


@pytest.mark.parametrize("name", ["a\ud800", 7], ids=["half a surrogate pair", "an int"])
def test_a_channel_whose_name_cannot_be_read_again_is_refused(front: KVFront, name: Any) -> None:
    """Before anything is sent: what is stored must be readable, and an error says what it is about."""
    saver = fronts.saver(front)
    with pytest.raises(ConfigError, match=r"channel: (has a lone surrogate|is an int)"):
        saver.put_writes(at(id=uid(1)), [(name, 1)], task(1))
    with pytest.raises(ConfigError, match=r"channel: (has a lone surrogate|is an int)"):
        saver.put(at(), {**checkpoint(uid(1)), "channel_values": {name: 1}}, about(1), {})
    assert fronts.names(front) == []


# Settings


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("prefix", "a/b"),
        ("prefix", ""),
        ("tenant", 7.5),
        ("consistency", "strong"),
        ("visibility", -1),
        ("patience", "1"),
        ("group_commit", "off"),
        ("group_window", float("nan")),
        ("deadline", None),
        ("throttle_budget", True),
        ("max_value_bytes", 0),
    ],
    ids=repr,
)
def test_a_setting_that_is_wrong_fails_when_the_saver_is_made(front: KVFront, field: str, value: Any) -> None:
    """And names itself."""
    with pytest.raises(ConfigError, match=field):
        fronts.saver(front, **{field: value})._codec  # noqa: B018
