"""The stored format as pure code: what sorts where, what a range holds, and what a reader refuses."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from langgraph_guard.checkpoint.redis import layout
from langgraph_guard.checkpoint.redis.layout import (
    LIST,
    SNAPSHOT,
    Body,
    InLog,
    Keyspace,
    Owner,
    Record,
    Ref,
    Span,
    StoredWrite,
    entry,
    group_span,
    namespace_span,
    read_body,
    read_record,
    read_write,
    record_span,
    settled,
)
from langgraph_guard.errors import CorruptCheckpoint

quickly = settings(max_examples=60, deadline=None)

# Few letters, so that ids are often equal, or one begins another; those that mean something to the format among them.
letters = st.sampled_from("\x00\x01\x02\xff/:.{}caw0é🦜")
texts = st.one_of(st.text(letters, max_size=4), st.text(st.characters(exclude_categories=["Cs"]), max_size=8))
ids = texts.filter(bool)
owners = st.builds(Owner, st.just("tenant"), st.just("thread"), texts, ids)
records = st.builds(Record, owners, st.none() | ids, st.none() | ids, st.binary(), st.integers(0, 2**50))
writes = st.builds(
    StoredWrite, owners, ids, st.integers(-9, 12), texts, texts, st.binary() | st.text("0123456789abcdef", min_size=1)
)
members = st.lists(st.one_of(records, writes), max_size=12)
ranges = st.tuples(st.integers(-50, 50), st.integers(1, 50))
refs: st.SearchStrategy[Ref] = st.one_of(
    st.binary(), st.text(), st.builds(InLog, st.sampled_from([LIST, SNAPSHOT]), st.lists(ranges).map(tuple))
)

A_RECORD = Record(Owner("tenant", "thread", "ns", "id"), "parent", "run", b"body", 7)
A_WRITE = StoredWrite(Owner("tenant", "thread", "ns", "id"), "task", 3, "channel", "path", b"value")


def within(span: Span, member: bytes) -> bool:
    """As ZRANGEBYLEX reads it."""
    above = span.low == b"-" or (member >= span.low[1:] if span.low[:1] == b"[" else member > span.low[1:])
    below = span.high == b"+" or (member <= span.high[1:] if span.high[:1] == b"[" else member < span.high[1:])
    return above and below


def read(member: bytes, tenant: str = "tenant", thread: str = "thread") -> Record | StoredWrite:
    """As a reader of that thread."""
    found = entry(member)
    return (read_record if found.kind == b"c" else read_write)(found, tenant, thread)


def owner(member: bytes) -> Owner:
    """Whose it says it is."""
    return read(member).owner


# Order


@quickly
@given(st.lists(st.one_of(records, writes)))
def test_a_namespace_stands_together_and_in_the_order_of_its_ids(stored: list[Record | StoredWrite]) -> None:
    """One range is a namespace, its last checkpoint the newest."""
    found = [owner(member) for member in sorted(each.member() for each in stored)]
    for ns in {each.ns for each in found}:
        places = [at for at, each in enumerate(found) if each.ns == ns]
        assert places == list(range(places[0], places[-1] + 1))
        its = [found[at].id for at in places]
        assert its == sorted(its)


@quickly
@given(records, st.lists(writes))
def test_a_record_stands_before_its_writes(record: Record, beside: list[StoredWrite]) -> None:
    """Read backwards, a group is whole once its record comes."""
    stored = [record.member(), *(replace(each, owner=record.owner).member() for each in beside)]
    assert min(stored) == record.member()
    assert len({entry(member).group for member in stored}) == 1


@quickly
@given(ids, ids, texts)
@example("a", "a\x00", "")
@example("a\x00", "a\x01", "")
@example("a", "a\xff", "")
def test_ids_that_differ_are_groups_that_differ(one: str, other: str, ns: str) -> None:
    """Escaping is injective."""
    assert (layout.group_key(ns, one) == layout.group_key(ns, other)) is (one == other)


# Ranges


@quickly
@given(members, texts, ids)
def test_a_group_s_span_holds_one_checkpoint_and_its_writes(stored: list[Any], ns: str, id: str) -> None:
    """And nothing of an id that begins with this one."""
    stored = [*stored, Record(Owner("tenant", "thread", ns, id), None, None, b"")]
    for member in (each.member() for each in stored):
        its = owner(member)
        assert within(group_span(ns, id), member) is ((its.ns, its.id) == (ns, id))


@quickly
@given(members, texts, ids)
def test_a_record_s_span_holds_the_record_alone(stored: list[Any], ns: str, id: str) -> None:
    """What stays of a checkpoint is rewritten without its writes."""
    for member in (each.member() for each in stored):
        its = read(member)
        expected = isinstance(its, Record) and (its.owner.ns, its.owner.id) == (ns, id)
        assert within(record_span(ns, id), member) is expected


@quickly
@given(members, texts, ids)
def test_a_namespace_s_span_ends_where_it_is_told_to(stored: list[Any], ns: str, id: str) -> None:
    """`before` leaves its id out, `upto` has it."""
    for member in (each.member() for each in stored):
        its = owner(member)
        mine = its.ns == ns
        assert within(namespace_span(ns), member) is mine
        assert within(namespace_span(ns, before=id), member) is (mine and its.id < id)
        assert within(namespace_span(ns, upto=id), member) is (mine and its.id <= id)
        assert within(layout.EVERYTHING, member)


@quickly
@given(writes, writes)
def test_the_key_of_a_write_begins_no_other_write(one: StoredWrite, other: StoredWrite) -> None:
    """The script finds a write by its key: 1 is not 10, and a task is not another that begins with it."""
    same = (one.owner, one.task, one.idx) == (other.owner, other.task, other.idx)
    assert other.member().startswith(one.key) is same


# There and back


@quickly
@given(records)
def test_a_record_comes_back(record: Record) -> None:
    """Whatever its ids are."""
    assert read(record.member()) == record


@quickly
@given(writes)
def test_a_write_comes_back(write: StoredWrite) -> None:
    """With its value, or the name of its blob."""
    assert read(write.member()) == write


@quickly
@given(st.binary(), st.dictionaries(texts, refs), st.integers(0, 1_000))
def test_a_body_comes_back_with_its_ranges_settled(told: bytes, refs: dict[str, Ref], base: int) -> None:
    """A start below zero counts from where the log ended when the record was committed."""
    assert read_body(Body(told, refs).pack(), base, "a record") == Body(told, settled(refs, base))


def test_a_start_below_zero_counts_from_the_base() -> None:
    """-1 is the first element that came with the record."""
    refs: dict[str, Ref] = {"l": InLog(LIST, ((4, 2), (-1, 3), (-4, 1)))}
    assert settled(refs, 10) == {"l": InLog(LIST, ((4, 2), (10, 3), (13, 1)))}


# What a reader refuses


@pytest.mark.parametrize("stored", [A_RECORD, A_WRITE])
@pytest.mark.parametrize(
    "other",
    [
        Owner("other", "thread", "ns", "id"),
        Owner("tenant", "other", "ns", "id"),
        Owner("tenant", "thread", "other", "id"),
        Owner("tenant", "thread", "ns", "other"),
    ],
)
def test_what_says_that_it_is_another_s_is_refused(stored: Any, other: Owner) -> None:
    """Restored to a wrong place, or put there by somebody: it is not what was asked for."""
    member = stored.key + (b"7:" if stored is A_RECORD else b"") + replace(stored, owner=other).pack()
    with pytest.raises(CorruptCheckpoint, match="another"):
        read(member)


@pytest.mark.parametrize("change", [{"task": "other"}, {"idx": 4}])
def test_a_write_of_another_task_is_refused(change: dict[str, Any]) -> None:
    """Its place says whose it is."""
    with pytest.raises(CorruptCheckpoint, match="another"):
        read(A_WRITE.key + replace(A_WRITE, **change).pack())


@pytest.mark.parametrize(("tenant", "thread"), [("tenant", "other"), ("other", "thread")])
@pytest.mark.parametrize("stored", [A_RECORD, A_WRITE])
def test_an_entry_is_refused_under_another_name(stored: Any, tenant: str, thread: str) -> None:
    """A key that was renamed does not make its contents somebody else's."""
    with pytest.raises(CorruptCheckpoint, match="another"):
        read(stored.member(), tenant, thread)


@pytest.mark.parametrize("version", [0, 2, None, "1"])
def test_another_version_is_refused(monkeypatch: pytest.MonkeyPatch, version: Any) -> None:
    """Not guessed at."""
    with monkeypatch.context() as patch:
        patch.setattr(layout, "VERSION", version)
        member = A_RECORD.member()
    with pytest.raises(CorruptCheckpoint, match="version"):
        read(member)


@quickly
@given(st.sampled_from([A_RECORD, A_WRITE]), st.integers(0, 10_000), st.binary(max_size=3), st.integers(0, 3))
def test_a_damaged_entry_is_an_error_of_ours_or_harmless(stored: Any, at: int, put: bytes, cut: int) -> None:
    """Bits flip, and disks forget the end of a file; no other exception comes of it."""
    member = stored.member()
    at %= len(member)
    damaged = member[:at] + put + member[at + cut :]
    try:
        found = read(damaged)
    except CorruptCheckpoint:
        return
    assert found.owner.tenant == "tenant"


@quickly
@given(st.sampled_from([{"a": b"1", "b": "name", "c": InLog(LIST, ((1, 2),))}, {}]), st.integers(0, 99), st.binary())
def test_a_damaged_body_is_an_error_of_ours_or_harmless(refs: dict[str, Ref], at: int, put: bytes) -> None:
    """The same for what is inside a record."""
    packed = Body(b"told", refs).pack()
    at %= len(packed)
    try:
        body = read_body(packed[:at] + put + packed[at + 1 :], 0, "a record")
    except CorruptCheckpoint:
        return
    assert isinstance(body.told, bytes)


# Names


@quickly
@given(texts, texts, ids, ids)
def test_keys_of_two_threads_are_never_the_same(tenant: str, other_tenant: str, thread: str, other: str) -> None:
    """Whatever stands in their ids."""
    one, two = Keyspace("p", tenant).thread(thread), Keyspace("p", other_tenant).thread(other)
    assert bool(set(one) & set(two)) is ((tenant, thread) == (other_tenant, other))


@quickly
@given(texts, ids)
def test_a_thread_s_keys_share_one_slot(tenant: str, thread: str) -> None:
    """One hash tag, which no id can end or empty."""
    tags = {key[key.index("{") + 1 : key.index("}")] for key in Keyspace("p", tenant).thread(thread)}
    assert len(tags) == 1
    assert all(tags)


@quickly
@given(texts, ids, ids)
def test_a_registry_is_no_thread_and_no_run(tenant: str, thread: str, run: str) -> None:
    """No id leads out of its own kind of key."""
    keys = Keyspace("p", tenant)
    assert len({keys.threads, keys.run(run), *keys.thread(thread)}) == 6
