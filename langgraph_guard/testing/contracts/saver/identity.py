"""Identity: whatever characters a thread, a namespace, a channel or an id has, its data is its own."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from itertools import product
from typing import Any, ClassVar, Final

import pytest

from langgraph_guard.testing.contracts.saver.harness import (
    CANARY,
    Author,
    Both,
    Harness,
    Saver,
    about,
    at,
    blank,
    places,
    task,
    uid,
)

ODD: Final = (
    "a", "b", "a:b", "b:c", ":", "::", "a:", ":a", "|", "a|b", "*", "?", "[a-z]", "\\*", "\\", "{x}", "{}", "}{", "{",
    "}", "Bob", "bob", "BOB", "a,b", "a b", " ", " a", "a ", "\n", "\0", "a\0", "\t", "ß", "ss", "é", "e\u0301", "日本",
    "🦜", "\u202ea", "a\u200b", "%3A", "%", "none", "None", "null", "0", "00", "'; --", "../", ".", "/", "a/b",
    "__empty__", "__root__", "\x7f", "\ufeff", "-1", "+", "a=b", "#", "&", "\r\n", "ｂob", "x" * 300,
)  # fmt: skip
"""Separators, patterns, escapes, look-alikes and names that key encodings give to themselves."""

PAIRS: Final = [("a:b", "c"), ("a", "b:c"), ("a", "b"), ("a|b", "c"), ("a", "b|c"), ("a", ""), ("a:", ""), ("a", ":")]
"""Thread and namespace that a careless key makes one of."""

NAMESPACES: Final = ("__empty__", "", "__root__", "node", "node:1", "node:1|inner:2", "node|1", "*", "{a}", "\0", "né")

NOT_AN_ID: Final = ("../", "latest", "x" * 5_000, "*", "[0-9]*", f"{uid(1)}*", f"{uid(1)} ", uid(1)[:-1], "\0", "日本")


class Identity(Harness):
    """A key that two names share shows one user the other's conversation."""

    def test_threads_of_odd_names_have_each_their_own(self, both: Both, cold: Callable[[Both], Both]) -> None:
        """All of them at once: state, writes, history and the name itself come back as they were."""
        for number, thread in enumerate(ODD, 1):
            author = Author(both, thread)
            both.put_writes(author.put(number, {"mine": thread}), [("c", thread)], task(1), thread)
        for reader, (number, thread) in product((both, cold(both)), enumerate(ODD, 1)):
            (found,) = reader.listing(at(thread))
            assert (found.checkpoint["id"], found.config["configurable"]["thread_id"]) == (uid(number), thread)
            assert found.checkpoint["channel_values"] == {"mine": thread}
            assert found.pending_writes == [(task(1), "c", thread)]
        assert {found and found[0] for found in places(both.listing(None))} == set(ODD)

    def test_deleting_a_thread_deletes_that_one(self, both: Both) -> None:
        """`*` is the name of one thread, and no pattern."""
        for number, thread in enumerate(ODD, 1):
            Author(both, thread).put(number)
        left = set(ODD)
        for thread in ODD:
            both.do(both.saver, "delete_thread", thread)
            left.discard(thread)
            assert {found and found[0] for found in places(both.listing(None))} == left

    @pytest.mark.parametrize("thread", ["*", "?", "c?nary", "[a-z]*", "canar", CANARY + "*", "\\*", "CANARY", "", None])
    def test_the_canary_outlives_every_other_threads_end(self, both: Both, thread: Any) -> None:
        """Deleting by a pattern would take it along."""
        both.put_writes(Author(both, CANARY).put(1, {"alive": True}), [("c", 1)], task(1))
        with suppress(ValueError, TypeError):
            both.do(both.saver, "delete_thread", thread)
        assert both.values(at(CANARY)) == {"alive": True}
        assert both.writes(at(CANARY)) == [(task(1), "c", 1)]

    @pytest.mark.parametrize("order", [1, -1])
    def test_a_thread_and_a_namespace_are_two_names(self, both: Both, order: int) -> None:
        """`a:b` with `c` is not `a` with `b:c`, in either direction."""
        for number, (thread, ns) in enumerate(PAIRS[::order], 1):
            author = Author(both, thread, ns)
            both.put_writes(author.put(number, {"mine": [thread, ns]}), [("c", [thread, ns])], task(1))
        for thread, ns in PAIRS:
            (found,) = both.listing(at(thread, ns))
            assert found.checkpoint["channel_values"] == {"mine": [thread, ns]}
            assert found.pending_writes == [(task(1), "c", [thread, ns])]

    def test_namespaces_of_odd_names_have_each_their_own(self, both: Both) -> None:
        """None of them is the root but the empty one."""
        for number, ns in enumerate(NAMESPACES, 1):
            Author(both, ns=ns).put(number, {"mine": ns})
        for number, ns in enumerate(NAMESPACES, 1):
            assert [(uid(number), {"mine": ns})] == [
                (found.checkpoint["id"], found.checkpoint["channel_values"]) for found in both.listing(at(ns=ns))
            ]
        assert {found and found[1] for found in places(both.listing(None))} == set(NAMESPACES)

    @pytest.mark.parametrize("length", [274, 1_024, 2_048])
    def test_a_long_namespace_is_kept_whole(self, both: Both, length: int) -> None:
        """Each level of subgraphs adds 46 characters; cut short, two of them would be one."""
        names = ["n" * (length - 1) + end for end in "ab"]
        for ns in names:
            Author(both, ns=ns).put(1, {"mine": ns[-1]})
        assert [both.values(at(ns=ns)) for ns in names] == [{"mine": "a"}, {"mine": "b"}]
        assert {found and found[1] for found in places(both.listing(None))} == set(names)

    @pytest.mark.parametrize("id", NOT_AN_ID)
    def test_an_id_that_is_none_finds_nothing(self, both: Both, id: str) -> None:
        """It comes from a URL. It may be refused."""
        Author(both).chain(2)
        try:
            found = both.find(at(id=id))
        except ValueError:
            return
        assert found is None

    def test_channels_may_have_any_names(self, both: Both) -> None:
        """All of them in one checkpoint; LangGraph's own have colons and pipes in them."""
        names = [*ODD, "__start__", "branch:to:a", "x" * 900]
        author = Author(both)
        author.put(1, {name: [name] for name in names})
        author.put(2, {name: [name, 2] for name in names[::2]}, after=1)
        both.put_writes(author.at(2), [(name, name) for name in names], task(1))
        assert both.values(author.at(1)) == {name: [name] for name in names}
        assert both.values(at()) == {name: [name, *[2] * (name in names[::2])] for name in names}
        assert both.writes(at()) == [(task(1), name, name) for name in names]

    def test_channels_whose_names_run_into_their_versions_stay_apart(self, both: Both) -> None:
        """`a` at version `b:1` is not `a:b` at version `1`."""
        names = {"a": "b:1", "a:b": "1", "a:b:1": "", "a|b": "1", "a|": "b|1"}
        checkpoint = blank(1)
        checkpoint["channel_values"] = {name: name for name in names}
        checkpoint["channel_versions"] = {**names}
        both.put(at(), checkpoint, about(0), {**names})
        assert both.values(at()) == {name: name for name in names}

    def test_tasks_of_odd_names_have_each_their_own_writes(self, both: Both) -> None:
        """A task's id is a UUID today."""
        config = Author(both).put(1)
        for name in ODD:
            both.put_writes(config, [("c", name)], name)
        assert sorted(both.writes(config)) == sorted((name, "c", name) for name in ODD)


class ThreadIds(Harness):
    """What is no thread id is refused before anything is touched; `InMemorySaver` takes everything."""

    longest_thread_id: ClassVar[int] = 1_024
    """In characters."""

    @pytest.mark.parametrize("thread", ["", None, b"1", True, 1.5, ["t"], "\ud800"], ids=repr)
    def test_what_is_no_name_is_refused(self, both: Both, thread: Any) -> None:
        """As a text, `None` would be one thread for everybody who forgot to give one."""
        for name, terms in _everything(thread).items():
            with pytest.raises((ValueError, TypeError), match="thread_id"):
                _ = both.do(both.saver, name, *terms)
        with pytest.raises((ValueError, TypeError), match="thread_id"):
            both.listing(at(thread))
        assert both.listing(None) == []

    def test_a_config_without_a_thread_is_refused(self, both: Both) -> None:
        """LangGraph's own message for it is a KeyError from the depths."""
        with pytest.raises((ValueError, TypeError), match="thread_id"):
            both.put({"configurable": {"checkpoint_ns": ""}}, blank(1), about(0), {})

    def test_a_thread_id_may_be_as_long_as_is_promised(self, both: Both) -> None:
        """Two that differ in their last character are two."""
        names = ["日" * (self.longest_thread_id - 1) + end for end in "ab"]
        for name in names:
            Author(both, name).put(1, {"mine": name[-1]})
        assert [both.values(at(name)) for name in names] == [{"mine": "a"}, {"mine": "b"}]

    @pytest.mark.parametrize("more", [1, 10_000_000])
    def test_a_longer_thread_id_is_refused(self, both: Both, more: int) -> None:
        """Before ten megabytes of it are sent."""
        with pytest.raises(ValueError, match="thread_id"):
            both.put(at("x" * (self.longest_thread_id + more)), blank(1), about(0), {})

    def test_a_number_is_the_thread_of_its_digits(self, both: Both) -> None:
        """Runs turn it into a text and `get_state` does not; both must mean the same thread."""
        config = both.put(at(7), blank(1), about(0), {})
        assert config["configurable"]["thread_id"] == "7"
        both.put_writes(at(7, id=uid(1)), [("c", 1)], task(1))
        for thread in (7, "7"):
            assert both.writes(at(thread)) == [(task(1), "c", 1)]
            assert places(both.listing(at(thread))) == [("7", "", uid(1))]
        both.do(both.saver, "delete_thread", 7)
        assert both.find(at("7")) is None


class Tenants(Harness):
    """Two tenants share a store and nothing else."""

    def of_tenant(self, saver: Saver, tenant: str) -> Saver:
        """A saver of another tenant over the store of `saver`."""
        raise NotImplementedError("override of_tenant(self, saver, tenant)")

    @pytest.fixture
    def stranger(self, both: Both, opened: list[Saver]) -> Both:
        """Somebody else's saver, on the same store."""
        opened.append(self.of_tenant(both.saver, "stranger"))
        return both.over(opened[-1])

    def test_a_tenant_cannot_read_anothers_thread(self, both: Both, stranger: Both) -> None:
        """Thread ids are guessed, or copied from a URL."""
        Author(both).chain(2)
        assert stranger.find(at()) is None
        assert stranger.find(at(id=uid(1))) is None
        assert stranger.listing(at()) == stranger.listing(None) == []

    def test_one_name_is_one_thread_for_each(self, both: Both, stranger: Both) -> None:
        """Every tenant has a thread called 1."""
        both.put_writes(Author(both).put(1, {"a": "ours"}), [("c", "ours")], task(1))
        stranger.put_writes(Author(stranger).put(1, {"a": "theirs"}), [("c", "theirs")], task(1))
        assert (both.values(at()), stranger.values(at())) == ({"a": "ours"}, {"a": "theirs"})
        assert both.writes(at()) == [(task(1), "c", "ours")]

    def test_a_tenant_cannot_delete_anothers_thread(self, both: Both, stranger: Both) -> None:
        """By its name, by its runs, or by pruning."""
        Author(both).chain(3, run="r")
        stranger.do(stranger.saver, "delete_thread", "t")
        stranger.do(stranger.saver, "delete_for_runs", ["r"])
        stranger.do(stranger.saver, "prune", ["t"], strategy="delete")
        assert len(both.listing(at())) == 3

    def test_a_tenant_cannot_copy_anothers_thread(self, both: Both, stranger: Both) -> None:
        """Copying would be reading."""
        Author(both).chain(2)
        with suppress(ValueError, LookupError, RuntimeError):
            stranger.do(stranger.saver, "copy_thread", "t", "mine")
        assert stranger.listing(None) == []

    @pytest.mark.parametrize(
        ("one", "other"), [(("a:b", "c"), ("a", "b:c")), (("{a}", "b"), ("a", "{a}b")), (("a", "*"), ("*", "a"))]
    )
    def test_a_tenant_and_a_thread_are_two_names(
        self, both: Both, opened: list[Saver], one: tuple[str, str], other: tuple[str, str]
    ) -> None:
        """As a thread and a namespace are."""
        found = []
        for tenant, thread in (one, other):
            opened.append(self.of_tenant(both.saver, tenant))
            Author(both.over(opened[-1]), thread).put(1, {"mine": [tenant, thread]})
            found.append((both.over(opened[-1]), tenant, thread))
        for saver, tenant, thread in found:
            assert saver.values(at(thread)) == {"mine": [tenant, thread]}
            assert len(saver.listing(None)) == 1


def _everything(thread: Any) -> dict[str, tuple[Any, ...]]:
    """Each method that takes a thread, with terms that name `thread`."""
    return {
        "get_tuple": (at(thread),),
        "put": (at(thread), blank(1), about(0), {}),
        "put_writes": (at(thread, id=uid(1)), [("c", 1)], task(1)),
        "delete_thread": (thread,),
        "copy_thread": (thread, "target"),
        "prune": ([thread],),
    }
