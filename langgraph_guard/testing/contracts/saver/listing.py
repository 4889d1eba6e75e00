"""Listing: every checkpoint that is asked for, newest first, and none that is not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import pytest

from langgraph_guard.testing.contracts.saver.harness import (
    Author,
    Both,
    Harness,
    about,
    anywhere,
    at,
    blank,
    ids,
    place,
    places,
    task,
    uid,
)

ODD_KEYS: Final = ("x') OR 1=1--", "a\n", "$", "$.a", "@x:{*}", "__proto__", "", "*", "a.b", 'a"b', "step\0")


class Listing(Harness):
    """History, time travel and the way into subgraphs all go through `list`."""

    def test_a_thread_is_listed_newest_first(self, both: Both) -> None:
        """By id, whatever the order of puts."""
        author = Author(both)
        for number in (2, 5, 1, 4, 3):
            author.put(number)
        assert ids(both.listing(at())) == [uid(number) for number in (5, 4, 3, 2, 1)]

    def test_what_is_listed_is_what_get_finds(self, both: Both, cold: Callable[[Both], Both]) -> None:
        """Values, metadata, parent and writes: all of it."""
        author = Author(both)
        author.chain(4)
        both.put_writes(author.at(2), [("n", 1), ("n", None)], task(1), "p")
        for reader in (both, cold(both)):
            for found in reader.listing(at()):
                one = reader.get(found.config)
                assert (found.checkpoint, found.metadata) == (one.checkpoint, one.metadata)
                assert place(found.parent_config) == place(one.parent_config)
                assert found.pending_writes == one.pending_writes

    def test_an_unknown_thread_has_no_history(self, both: Both) -> None:
        """And asking for it leaves nothing behind."""
        Author(both).chain(2)
        assert both.listing(at("other")) == []
        assert both.listing(anywhere("other")) == []
        assert len(both.listing(None)) == 2

    def test_a_namespace_is_listed_alone(self, both: Both) -> None:
        """The root's name is empty, which is a name and not a missing one."""
        Author(both).chain(2)
        Author(both, ns="sub").put(7)
        assert places(both.listing(at())) == [("t", "", uid(2)), ("t", "", uid(1))]
        assert places(both.listing(at(ns="sub"))) == [("t", "sub", uid(7))]

    def test_without_a_namespace_all_of_a_thread_are_listed(self, both: Both) -> None:
        """No official test asks for it; who deletes or exports a thread does."""
        for number, ns in enumerate(("", "sub", "sub:1|inner", "sub|x"), 1):
            Author(both, ns=ns).put(number)
        Author(both, "other", "sub").put(9)
        assert set(places(both.listing(anywhere("t")))) == {
            ("t", "", uid(1)),
            ("t", "sub", uid(2)),
            ("t", "sub:1|inner", uid(3)),
            ("t", "sub|x", uid(4)),
        }

    def test_without_a_config_all_threads_are_listed(self, both: Both, cold: Callable[[Both], Both]) -> None:
        """With their namespaces, from any process."""
        expected = set()
        for number, (thread, ns) in enumerate([("a", ""), ("a", "s"), ("b", ""), ("c:d", "s:1"), ("ü", "")], 1):
            Author(both, thread, ns).put(number)
            expected.add((thread, ns, uid(number)))
        assert set(places(both.listing(None))) == set(places(cold(both).listing(None))) == expected

    def test_within_each_namespace_order_holds_across_threads(self, both: Both) -> None:
        """However threads are mixed."""
        for thread in ("a", "b"):
            for ns in ("", "s"):
                Author(both, thread, ns).chain(3)
        found = places(both.listing(None))
        for thread in ("a", "b"):
            for ns in ("", "s"):
                mine = [each[2] for each in found if each is not None and each[:2] == (thread, ns)]
                assert mine == [uid(3), uid(2), uid(1)]

    def test_an_id_in_the_config_lists_that_one(self, both: Both) -> None:
        """And nothing when it is not there."""
        author = Author(both)
        author.chain(3)
        assert ids(both.listing(author.at(2))) == [uid(2)]
        assert both.listing(author.at(9)) == []

    def test_an_id_without_a_namespace_is_found_in_each(self, both: Both) -> None:
        """The id alone says which, not where."""
        for ns in ("", "s", "other"):
            Author(both, ns=ns).chain(2)
        config: Any = {"configurable": {"thread_id": "t", "checkpoint_id": uid(1)}}
        assert {found and found[1:] for found in places(both.listing(config))} == {
            (ns, uid(1)) for ns in ("", "s", "other")
        }

    @pytest.mark.parametrize("empty", [None, ""])
    def test_an_empty_id_in_the_config_lists_all(self, both: Both, empty: str | None) -> None:
        """`None` is what LangGraph passes for any."""
        Author(both).chain(2)
        assert len(both.listing(at(checkpoint_id=empty))) == 2

    def test_before_leaves_out_the_cursor_and_what_came_after(self, both: Both) -> None:
        """The next page begins there."""
        author = Author(both)
        author.chain(4)
        assert ids(both.listing(at(), before=author.at(3))) == [uid(2), uid(1)]
        assert both.listing(at(), before=author.at(1)) == []

    def test_before_takes_an_id_of_another_namespace(self, both: Both) -> None:
        """So time travel finds what a subgraph had at that moment; the cursor is not one of its ids."""
        root, inner = Author(both), Author(both, ns="sub")
        for number in (1, 4, 7):
            root.put(number)
        for number in (2, 3, 5, 6):
            inner.put(number)
        cursor: Any = {"configurable": {"checkpoint_id": uid(4)}}
        assert ids(both.listing(at(ns="sub"), before=cursor, limit=1)) == [uid(3)]
        assert ids(both.listing(at(ns="sub"), before=root.at(7))) == [uid(number) for number in (6, 5, 3, 2)]

    def test_before_holds_across_namespaces_and_threads(self, both: Both) -> None:
        """Ids are times."""
        for thread, ns in [("a", ""), ("a", "s"), ("b", "")]:
            Author(both, thread, ns).chain(3)
        cursor = at("elsewhere", id=uid(3))
        assert len(both.listing(anywhere("a"), before=cursor)) == 4
        assert len(both.listing(None, before=cursor)) == 6

    @pytest.mark.parametrize("empty", [None, ""])
    def test_a_cursor_without_an_id_leaves_out_nothing(self, both: Both, empty: str | None) -> None:
        """As everywhere, an empty id is none."""
        Author(both).chain(2)
        assert len(both.listing(at(), before=at(checkpoint_id=empty))) == 2

    @pytest.mark.parametrize(("limit", "expected"), [(None, 5), (0, 0), (1, 1), (4, 4), (5, 5), (99, 5)])
    def test_a_limit_is_the_most_that_is_listed(self, both: Both, limit: int | None, expected: int) -> None:
        """Nought is nothing, and `None` is no limit."""
        Author(both).chain(5)
        assert ids(both.listing(at(), limit=limit)) == [uid(number) for number in (5, 4, 3, 2, 1)][:expected]

    def test_a_limit_counts_what_the_filter_left(self, both: Both) -> None:
        """Two pages of matches, not the matches of two pages."""
        author = Author(both)
        for number in range(1, 9):
            author.put(number, parity=number % 2)
        assert ids(both.listing(at(), filter={"parity": 0}, limit=2)) == [uid(8), uid(6)]
        assert ids(both.listing(at(), filter={"parity": 0}, limit=2, before=author.at(6))) == [uid(4), uid(2)]

    def test_a_limit_holds_over_all_threads_and_namespaces(self, both: Both) -> None:
        """Not for each."""
        for thread, ns in [("a", ""), ("a", "s"), ("b", "")]:
            Author(both, thread, ns).chain(3)
        assert len(both.listing(None, limit=4)) == 4
        assert len(both.listing(anywhere("a"), limit=4)) == 4

    def test_pages_have_each_checkpoint_once(self, both: Both) -> None:
        """With the last of a page as the cursor of the next."""
        Author(both).chain(10)
        seen: list[str] = []
        while page := both.listing(at(), limit=3, before=at(id=seen[-1]) if seen else None):
            seen += ids(page)
        assert seen == [uid(number) for number in range(10, 0, -1)]


class Filters(Harness):
    """A filter compares values; whatever it does not know, it does not let through."""

    @pytest.mark.parametrize(
        ("stored", "asked", "matches"),
        [
            ("a", "a", True),
            ("a", "A", False),
            ("a", "a ", False),
            ("ab", "a", False),
            ("a*", "ab", False),
            ("1", 1, False),
            (1, "1", False),
            (1, 1, True),
            (1, 1.0, True),
            (1, True, True),
            (0, False, True),
            (True, 1, True),
            (True, "true", False),
            (None, None, True),
            ("null", None, False),
            (0.1, 0.1, True),
            (2**60, 2**60, True),
            (2**60, 2**60 + 1, False),
            ([1, 2], [1, 2], True),
            ([1, 2], [1], False),
            ([1, 2], 1, False),
            ({"b": [1]}, {"b": [1]}, True),
            ({"b": [1], "c": 1}, {"b": [1]}, False),
            ({}, {}, True),
            ({}, None, False),
            ("日本", "日本", True),
            ("é", "e\u0301", False),
            ("it's", "it's", True),
            ('"', '"', True),
            ("\\", "\\", True),
            ("{x}", "{x}", True),
        ],
    )
    def test_values_are_compared_as_python_compares_them(
        self, both: Both, stored: Any, asked: Any, matches: bool
    ) -> None:
        """As texts, `1` would be `"1"`, and a quote would end the query."""
        Author(both).put(1, key=stored)
        assert len(both.listing(at(), filter={"key": asked})) == matches

    @pytest.mark.parametrize("key", ["score", *ODD_KEYS])
    def test_an_unknown_key_finds_nothing(self, both: Both, key: str) -> None:
        """A key that is dropped finds everything, other users' threads among it. It may be refused."""
        Author(both).put(1, user="u1")
        try:
            found = both.listing(at(), filter={key: "u1"})
        except ValueError:
            return
        assert found == []

    @pytest.mark.parametrize("key", ["score", "user_id", "日本", "a b", "a.b", "a:b"])
    def test_a_key_of_the_users_own_is_found(self, both: Both, key: str) -> None:
        """Any top-level key may be asked for."""
        author = Author(both)
        both.put(at(), blank(1), {**about(1), key: "x"}, {})
        author.put(2)
        assert ids(both.listing(at(), filter={key: "x"})) == [uid(1)]

    def test_all_keys_must_match(self, both: Both) -> None:
        """A filter is an and."""
        author = Author(both)
        for number, (user, kind) in enumerate([("u1", "a"), ("u1", "b"), ("u2", "a")], 1):
            author.put(number, user=user, kind=kind)
        assert ids(both.listing(at(), filter={"user": "u1", "kind": "a"})) == [uid(1)]
        assert both.listing(at(), filter={"user": "u1", "nothing": 1}) == []

    def test_an_empty_filter_leaves_all(self, both: Both) -> None:
        """It asks for nothing."""
        Author(both).chain(2)
        assert len(both.listing(at(), filter={})) == 2

    def test_what_the_config_added_can_be_asked_for(self, both: Both) -> None:
        """`run_id` gets into the metadata in no other way."""
        both.put(at(run_id="r1"), blank(1), about(0), {})
        both.put(at(run_id="r2"), blank(2), about(1), {})
        assert ids(both.listing(at(), filter={"run_id": "r1"})) == [uid(1)]

    def test_a_filter_reaches_all_threads_and_namespaces(self, both: Both) -> None:
        """Who has what open, over everybody's threads."""
        for number, (thread, ns) in enumerate([("a", ""), ("a", "s"), ("b", ""), ("c", "")], 1):
            Author(both, thread, ns).put(number, odd=bool(number % 2))
        assert {found and found[0] for found in places(both.listing(None, filter={"odd": True}))} == {"a", "b"}
        assert places(both.listing(anywhere("a"), filter={"odd": False})) == [("a", "s", uid(2))]

    def test_a_filter_sees_the_metadata_of_the_last_put(self, both: Both) -> None:
        """A checkpoint that is put again is not found by what it was."""
        author = Author(both)
        author.put(1, mood="old")
        author.put(1, mood="new")
        assert both.listing(at(), filter={"mood": "old"}) == []
        assert len(both.listing(at(), filter={"mood": "new"})) == 1


class MixedListing(Harness):
    """Over all namespaces of a thread, order is by id too; `InMemorySaver` lists one namespace after the other."""

    def test_namespaces_are_listed_together_newest_first(self, both: Both) -> None:
        """The newest two of a thread are the newest two, wherever they are."""
        for number, ns in enumerate(("s", "", "other", "", "s"), 1):
            Author(both, ns=ns).put(number)
        assert ids(both.listing(anywhere("t"))) == [uid(number) for number in (5, 4, 3, 2, 1)]
        assert ids(both.listing(anywhere("t"), limit=2)) == [uid(5), uid(4)]


class Many(Harness):
    """None is missing, however many there are."""

    def test_a_history_longer_than_any_page_is_listed_whole(self, both: Both) -> None:
        """Stores answer in pages; the last of one and the first of the next are where one gets lost."""
        author = Author(both)
        author.chain(1_030)
        assert ids(both.listing(at())) == [uid(number) for number in range(1_030, 0, -1)]
        assert both.values(author.at(1)) == {"n": 1, "fixed": "as it was"}

    def test_more_threads_than_any_page_are_listed_whole(self, both: Both) -> None:
        """The same across threads."""
        for number in range(1_030):
            Author(both, f"t{number}").put(1)
        assert len({found and found[0] for found in places(both.listing(None))}) == 1_030

    @pytest.mark.slow
    @pytest.mark.timeout(900)
    def test_twenty_thousand_checkpoints_are_all_there(self, both: Both, cold: Callable[[Both], Both]) -> None:
        """An agent that has run for months."""
        author = Author(both)
        author.chain(20_000)
        fresh = cold(both)
        assert ids(fresh.listing(at())) == [uid(number) for number in range(20_000, 0, -1)]
        assert fresh.values(author.at(1)) == {"n": 1, "fixed": "as it was"}
        assert fresh.values(at()) == {"n": 20_000, "fixed": "as it was"}
