"""Ids come from web requests. What is no id is refused by name, before anything is sent."""

from __future__ import annotations

import pickle
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langgraph_guard.checkpoint.core import ids
from langgraph_guard.errors import ConfigError

SOME = UUID("12345678-1234-5678-1234-567812345678")
CANARY = "sk-canary"


def conf(**said: Any) -> dict[str, Any]:
    """A config that says this."""
    return {"configurable": said}


@pytest.mark.parametrize(
    "thread",
    ["a", " ", "Bob", "bob", "a:b", "{x}", "*", "../", "a\x00b", "\n", "é", "e\u0301", "\u202e", "😀", "x" * 1_024],
)
def test_any_text_is_a_thread_id_and_stays_as_it_is(thread: str) -> None:
    """Ids that a program made before it had this saver must go on working, and none may become another's."""
    assert ids.thread_id(conf(thread_id=thread)) == thread


@pytest.mark.parametrize(("given", "text"), [(1, "1"), (-5, "-5"), (SOME, str(SOME))])
def test_a_number_or_uuid_becomes_its_text(given: Any, text: str) -> None:
    """LangGraph's loop does that before it calls a saver, and `get_state` does not: both must find the same thread."""
    assert ids.thread_id(conf(thread_id=given)) == text


@pytest.mark.parametrize("wrong", [None, "", b"1", True, False, 1.0, ["a"], {"a": 1}, Ellipsis], ids=repr)
@pytest.mark.parametrize(
    ("check", "field"),
    [
        (ids.check_thread_id, "thread_id"),
        (ids.check_checkpoint_id, "checkpoint_id"),
        (ids.check_task_id, "task_id"),
        (ids.check_run_id, "run_id"),
    ],
)
def test_what_is_no_id_is_refused_by_name(wrong: Any, check: Any, field: str) -> None:
    """`str(None)` is a thread that all lost users would share."""
    with pytest.raises(ConfigError) as caught:
        check(wrong)
    assert caught.value.field == field


@pytest.mark.parametrize("wrong", [b"", True, 1, [], SOME], ids=repr)
def test_a_namespace_is_text(wrong: Any) -> None:
    """LangGraph makes them; anything else is a config that was put together by hand."""
    with pytest.raises(ConfigError, match=r"configurable\.checkpoint_ns: is an? \w+; a str is due"):
        ids.namespace(conf(checkpoint_ns=wrong))


@pytest.mark.parametrize(
    "check", [ids.check_thread_id, ids.check_namespace, ids.check_checkpoint_id, ids.check_task_path]
)
def test_half_a_surrogate_pair_is_refused(check: Any) -> None:
    """It has no bytes, so a store would refuse it or store another id."""
    with pytest.raises(ConfigError, match="lone surrogate"):
        check("a\ud800")


@pytest.mark.parametrize(
    ("check", "limit"),
    [
        (ids.check_thread_id, 1_024),
        (ids.check_checkpoint_id, 1_024),
        (ids.check_task_id, 1_024),
        (ids.check_run_id, 1_024),
        (ids.check_namespace, 4_096),
        (ids.check_task_path, 65_536),
    ],
)
def test_an_id_has_a_longest_length(check: Any, limit: int) -> None:
    """Keys hold ids, and an id of ten megabytes would be sent with every command."""
    assert check("é" * limit) == "é" * limit
    with pytest.raises(ConfigError, match=f"has 10000000 characters; the limit is {limit}"):
        check("x" * 10_000_000)


def test_an_endless_number_is_refused() -> None:
    """Python itself refuses to write it out, with an error that names no field."""
    with pytest.raises(ConfigError, match="thread_id: is an int of 40001 bits"):
        ids.check_thread_id(1 << 40_000)


@pytest.mark.parametrize(
    "config", [None, {}, {"configurable": None}, {"configurable": {}}, {"configurable": "a"}, "a", []]
)
def test_a_config_without_a_thread_says_what_is_missing(config: Any) -> None:
    """The most common mistake there is with checkpointers."""
    with pytest.raises(ConfigError, match=r"configurable\.thread_id: is missing"):
        ids.thread_id(config)


def test_errors_quote_no_ids() -> None:
    """An id may be a person's mail address."""
    for wrong in (CANARY * 500, CANARY + "\ud800", CANARY.encode(), [CANARY]):
        with pytest.raises(ConfigError) as caught:
            ids.check_thread_id(wrong)
        assert CANARY not in str(caught.value) + repr(caught.value)


def test_no_namespace_is_the_root_graphs_or_any() -> None:
    """A read without one means the root graph; a list without one means all."""
    for config in (conf(), conf(checkpoint_ns=None)):
        assert ids.namespace(config) == ""
        assert ids.namespace_or_none(config) is None
    assert ids.namespace_or_none(conf(checkpoint_ns="")) == ""
    assert ids.namespace_or_none(conf(checkpoint_ns="a:1|b")) == "a:1|b"


def test_no_checkpoint_id_means_the_newest() -> None:
    """LangGraph says it in three ways."""
    for config in (conf(), conf(checkpoint_id=None), conf(checkpoint_id="")):
        assert ids.checkpoint_id(config) is None
    assert ids.checkpoint_id(conf(checkpoint_id="1ef")) == "1ef"


@pytest.mark.parametrize("read", [ids.thread_ids, ids.run_ids])
@pytest.mark.parametrize("wrong", ["thread-1", b"x", None, 5, {"a": 1}], ids=repr)
def test_one_id_in_the_place_of_a_list_is_an_error(read: Any, wrong: Any) -> None:
    """`prune("7-eleven")` must not prune the threads 7, -, e, l, v and n. LangGraph's own savers raise a TypeError."""
    with pytest.raises(ConfigError, match="a list of ids is due") as caught:
        read(wrong)
    assert isinstance(caught.value, TypeError)
    assert type(pickle.loads(pickle.dumps(caught.value))) is type(caught.value)


def test_a_list_of_ids_is_checked_as_a_whole() -> None:
    """Half of the threads pruned, and then an error, is the worst of both."""
    with pytest.raises(ConfigError, match=r"thread_ids\[1\]: is empty"):
        ids.thread_ids(["a", "", "b"])
    assert ids.thread_ids(each for each in ["b", 1, "b", "1", "a"]) == ["b", "1", "a"]
    assert ids.thread_ids([]) == []


@given(st.from_type(type).flatmap(st.from_type) | st.text() | st.integers() | st.binary())
def test_anything_is_an_id_or_a_clear_error(value: Any) -> None:
    """No value gets through as something else, and none ends in an error from deeper down."""
    try:
        found = ids.check_thread_id(value)
    except ConfigError:
        return
    assert found == str(value)
    found.encode()
