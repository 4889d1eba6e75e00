"""Reading and putting: one checkpoint, by its id or as the latest, is what was put."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from langgraph.checkpoint.base import get_checkpoint_metadata

from langgraph_guard.testing.contracts.saver.harness import (
    Author,
    Both,
    Harness,
    about,
    anywhere,
    at,
    blank,
    place,
    uid,
)


class Reading(Harness):
    """A checkpoint comes back as it was put, and none comes back that was not."""

    def test_put_says_where_the_checkpoint_is(self, both: Both) -> None:
        """LangGraph builds the next config from it: these three, and nothing of the user's."""
        config = both.put(at("t", "ns", uid(1), mine="x"), blank(2), about(0), {})
        assert config == {"configurable": {"thread_id": "t", "checkpoint_ns": "ns", "checkpoint_id": uid(2)}}

    def test_the_latest_is_found_without_an_id(self, both: Both) -> None:
        """And says of itself where it is."""
        Author(both).chain(3)
        assert place(both.get(at()).config) == ("t", "", uid(3))

    @pytest.mark.parametrize("empty", [None, ""])
    def test_an_empty_id_is_no_id(self, both: Both, empty: str | None) -> None:
        """LangGraph passes `None` to ask for the latest."""
        Author(both).chain(2)
        found = both.get(at(checkpoint_id=empty))
        assert place(found.config) == ("t", "", uid(2))

    @pytest.mark.parametrize("empty", [None, ""])
    def test_an_empty_parent_is_no_parent(self, both: Both, empty: str | None) -> None:
        """The first checkpoint of a thread is put after nothing."""
        both.put(at(checkpoint_id=empty), blank(1), about(0), {})
        assert both.get(at()).parent_config is None

    def test_the_latest_is_the_highest_id_not_the_last_put(self, both: Both) -> None:
        """A put that was delayed must not turn a thread back."""
        author = Author(both)
        author.put(2, {"n": "new"})
        author.put(1, {"n": "late"})
        assert both.values(at()) == {"n": "new"}

    def test_an_older_checkpoint_is_found_by_its_id(self, both: Both) -> None:
        """With its own values, its parent and the whole of its identity."""
        author = Author(both)
        author.chain(4)
        found = both.get(author.at(2))
        assert (place(found.config), place(found.parent_config)) == (("t", "", uid(2)), ("t", "", uid(1)))
        assert found.checkpoint == author.puts[2]

    def test_a_missing_namespace_is_the_root(self, both: Both) -> None:
        """Users' configs have none."""
        Author(both).put(1, {"a": "root"})
        Author(both, ns="sub").put(2, {"a": "sub"})
        assert both.values(anywhere("t")) == {"a": "root"}

    def test_what_was_never_put_is_not_found(self, both: Both) -> None:
        """Not by thread, not by namespace, not by id."""
        Author(both).put(1)
        nowhere = [at("other"), at(ns="other"), at(id=uid(2)), at("other", id=uid(1)), at(ns="other", id=uid(1))]
        assert [both.find(config) for config in nowhere] == [None] * 5

    def test_every_part_of_a_checkpoint_comes_back(self, both: Both) -> None:
        """Versions keep their type, for they are compared with each other; `v` is not ours to change."""
        checkpoint = blank(1)
        checkpoint |= {
            "v": 1,
            "channel_values": {"a": 1, "b": [2]},
            "channel_versions": {"a": 3, "b": 1},
            "versions_seen": {"node": {"a": 2}, "__input__": {}},
            "updated_channels": ["a"],
        }
        both.put(at(), checkpoint, about(7), {"a": 3, "b": 1})
        assert both.get(at()).checkpoint == checkpoint

    @pytest.mark.parametrize("version", [1, 1.5, "00000000000000000000000000000001.0.5"])
    def test_versions_keep_their_type(self, both: Both, version: Any) -> None:
        """`type(version)()` is LangGraph's version of a channel that has none."""
        checkpoint = blank(1)
        checkpoint |= {
            "channel_values": {"a": 1},
            "channel_versions": {"a": version},
            "versions_seen": {"n": {"a": version}},
        }
        both.put(at(), checkpoint, about(0), {"a": version})
        found = both.get(at()).checkpoint
        assert (found["channel_versions"], found["versions_seen"]) == ({"a": version}, {"n": {"a": version}})
        assert type(found["channel_versions"]["a"]) is type(found["versions_seen"]["n"]["a"]) is type(version)

    def test_a_none_is_a_value_and_not_a_gap(self, both: Both) -> None:
        """A reducer channel without a value is rebuilt from writes; one with `None` is not."""
        Author(both).put(1, {"a": None, "b": [None]})
        assert both.values(at()) == {"a": None, "b": [None]}

    def test_a_channel_that_changed_to_nothing_is_absent(self, both: Both) -> None:
        """It has a version and no value: an ephemeral channel after its superstep."""
        author = Author(both)
        author.put(1, {"a": 1, "b": 1})
        author.put(2, after=1, gone=["a"])
        assert both.values(author.at(2)) == {"b": 1}
        assert both.values(author.at(1)) == {"a": 1, "b": 1}
        assert "a" in both.get(at()).checkpoint["channel_versions"]

    def test_unchanged_channels_come_along(self, both: Both) -> None:
        """Only what is new is named in a put; savers that store only that lose the rest."""
        author = Author(both)
        author.put(1, {"a": "first", "b": "first"})
        for number in range(2, 6):
            author.put(number, {"b": number}, after=number - 1)
        assert both.values(at()) == {"a": "first", "b": 5}

    def test_a_copy_that_changes_nothing_has_everything(self, both: Both, cold: Callable[[Both], Both]) -> None:
        """`update_state(as_node="__copy__")` puts a fork without a new version."""
        author = Author(both)
        author.chain(3)
        author.put(9, after=1)
        for reader in (both, cold(both)):
            assert reader.values(author.at(9)) == {"n": 1, "fixed": "as it was"}

    def test_forks_with_different_values_of_a_channel_stay_apart(self, both: Both) -> None:
        """Both count on from the same version; were that a plain number, one would overwrite the other's value."""
        author = Author(both)
        author.put(1, {"a": "trunk", "l": [0]})
        author.put(2, {"a": "left", "l": [0, "left"]}, after=1)
        author.put(3, {"a": "right", "l": [0, "right"]}, after=1)
        assert [both.values(author.at(number)) for number in (1, 2, 3)] == [
            {"a": "trunk", "l": [0]},
            {"a": "left", "l": [0, "left"]},
            {"a": "right", "l": [0, "right"]},
        ]

    def test_versions_increase_and_differ_between_forks(self, blocking: Both) -> None:
        """Compared as they are, by LangGraph."""
        new = blocking.saver.get_next_version
        version: Any = None
        for _ in range(12):
            left, right = new(version, None), new(version, None)
            assert left != right
            assert version is None or min(left, right) > version
            version = left

    def test_a_checkpoint_may_be_put_again(self, both: Both) -> None:
        """The same id: values, metadata and parent are the last ones', and it stays one checkpoint."""
        author = Author(both)
        author.put(1, {"a": 1})
        author.put(2, {"a": 2, "b": 2}, after=1, mood="old")
        author.put(2, {"a": 3}, mood="new")
        found = both.get(at())
        assert found.checkpoint["channel_values"] == {"a": 3}
        assert (found.metadata.get("mood"), found.parent_config) == ("new", None)
        assert len(both.listing(at())) == 2

    def test_putting_the_same_twice_is_putting_it_once(self, both: Both) -> None:
        """A put whose answer was lost is sent again."""
        author = Author(both)
        author.put(1, {"a": 1})
        terms = author.terms(2, {"a": 2}, after=1)
        first = both.put(*terms)
        again = both.put(*terms)
        assert first == again
        assert [found.checkpoint["channel_values"] for found in both.listing(at())] == [{"a": 2}, {"a": 1}]

    def test_a_parent_need_not_be_stored(self, both: Both) -> None:
        """Puts may come in any order, and a parent may have been deleted."""
        author = Author(both)
        first, second = author.terms(1, {"a": 1}), author.terms(2, {"b": 2}, after=1)
        both.put(*second)
        assert place(both.get(at()).parent_config) == ("t", "", uid(1))
        both.put(*first)
        assert both.values(author.at(2)) == {"a": 1, "b": 2}

    def test_a_reader_cannot_change_what_is_stored(self, both: Both) -> None:
        """A graph works on what it read, in place."""
        author = Author(both)
        author.put(1, {"a": {"list": [1]}})
        found = both.get(at())
        found.checkpoint["channel_values"]["a"]["list"].append(2)
        found.checkpoint["channel_versions"].clear()
        found.metadata["step"] = 99
        assert both.values(at()) == {"a": {"list": [1]}}
        assert both.get(at()).metadata["step"] == 1

    def test_a_writer_cannot_change_what_is_stored(self, both: Both) -> None:
        """Nor by what it does with its objects after the put."""
        author = Author(both)
        value = {"list": [1]}
        author.put(1, {"a": value})
        value["list"].append(2)
        assert both.values(at()) == {"a": {"list": [1]}}

    def test_put_changes_nothing_that_it_was_given(self, both: Both) -> None:
        """LangGraph goes on with the very same objects."""
        config, checkpoint, metadata, versions = Author(both).terms(1, {"a": [1], "b": {"c": 2}})
        before = repr((config, checkpoint, metadata, versions))
        both.put(config, checkpoint, metadata, versions)
        both.put_writes(at(id=uid(1)), [("a", [1])], "task")
        assert repr((config, checkpoint, metadata, versions)) == before

    def test_another_process_reads_the_same(self, both: Both, cold: Callable[[Both], Both]) -> None:
        """Nothing that a saver remembers may be missing from the store."""
        author = Author(both)
        author.chain(5)
        assert [cold(both).get(author.at(number)) for number in range(1, 6)] == [
            both.get(author.at(number)) for number in range(1, 6)
        ]

    def test_another_process_goes_on_where_this_one_stopped(self, both: Both, cold: Callable[[Both], Both]) -> None:
        """And this one then sees what that one did."""
        author = Author(both)
        author.put(1, {"l": [1]})
        author.both = cold(both)
        author.put(2, {"l": [1, 2]}, after=1)
        author.both = both
        author.put(3, {"l": [1, 2, 3]}, after=2)
        assert [each.checkpoint["channel_values"] for each in both.listing(at())] == [
            {"l": [1, 2, 3]},
            {"l": [1, 2]},
            {"l": [1]},
        ]


class Metadata(Harness):
    """Metadata is what was given, and what the config says of the run."""

    def test_scalars_of_the_config_are_merged_into_the_metadata(self, both: Both) -> None:
        """`get_checkpoint_metadata` says which; users filter by them."""
        config = at(user="u1", level=3, share=0.5, flag=True, nested={"no": 1}, __hidden="no", langgraph_step=9)
        config["metadata"] = {"run_id": "r1", "tags": ["no"], "user": "wins"}
        both.put(config, blank(1), about(2, writes=None), {})
        found = both.get(at()).metadata
        assert found == get_checkpoint_metadata(config, about(2, writes=None))
        assert (found.get("run_id"), found.get("level"), found.get("flag")) == ("r1", 3, True)
        assert {"nested", "tags", "__hidden", "thread_id"}.isdisjoint(found)

    def test_nuls_are_taken_out_of_texts_at_the_top(self, both: Both) -> None:
        """As LangGraph does it for every saver."""
        both.put(at(user="a\0b"), blank(1), about(0, note="c\0d"), {})
        found = both.get(at()).metadata
        assert (found.get("user"), found.get("note")) == ("ab", "cd")

    def test_nested_metadata_comes_back_as_it_was(self, both: Both) -> None:
        """`parents` is nested, and so is what a user adds."""
        nested = {"deep": [{"er": None, "x\0y": 1.5, "日": True}], "empty": {}}
        both.put(at(), blank(1), {**about(0), "extra": nested, "parents": {"": uid(9), "a:b|c": uid(8)}}, {})
        found = both.get(at()).metadata
        assert found.get("extra") == nested
        assert found["parents"] == {"": uid(9), "a:b|c": uid(8)}

    def test_missing_metadata_stays_missing(self, both: Both) -> None:
        """Nothing is made up."""
        both.put(at(), blank(1), {}, {})
        assert both.get(at()).metadata == {}

    def test_counters_of_delta_channels_are_read_as_pairs(self, both: Both) -> None:
        """LangGraph unpacks them; whether as a tuple or a list is all the same to it."""
        both.put(at(), blank(1), about(0, counters_since_delta_snapshot={"items": (3, 5)}), {})
        assert list(both.get(at()).metadata["counters_since_delta_snapshot"]["items"]) == [3, 5]
