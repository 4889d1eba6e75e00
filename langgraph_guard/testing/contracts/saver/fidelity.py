"""Fidelity: what comes back is equal to what was put, and of the same type, wherever in a checkpoint it was."""

from __future__ import annotations

from typing import Any, Final

import pytest
from langgraph._internal import _serde
from langgraph.checkpoint.serde import _msgpack
from langgraph.graph import END, START, StateGraph
from typing_extensions import TypedDict

from langgraph_guard.testing.contracts.saver.harness import Author, Both, Harness, at, task
from langgraph_guard.testing.contracts.saver.same import same
from langgraph_guard.testing.contracts.saver.values import VALUES, Ticket, stored

CONTAINERS: Final[dict[str, Any]] = {
    "itself": lambda value: value,
    "an element": lambda value: ["before", value, value],
    "a dict's value": lambda value: {"key": value, "other": 1},
    "a list within a list": lambda value: [[value], {"deep": [value]}],
}

UNSTORABLE: Final[dict[str, Any]] = {
    "too large": 2**64,
    "too small": -(2**63) - 1,
    "object": object(),
    "function": lambda: None,
}

every_value = pytest.mark.parametrize("kind", VALUES)


class TicketState(TypedDict):
    """A state whose schema names a type of the user's."""

    ticket: Ticket
    open: list[Ticket]


def faithful(found: Any, value: Any) -> bool:
    """Whether a value came back as it was, or as LangGraph's own serializer gives it back."""
    return same(found, value) or same(found, stored(value))


class Fidelity(Harness):
    """Nothing worse than LangGraph's own serializer makes of it."""

    @every_value
    def test_a_value_in_the_state_is_what_it_was(self, both: Both, cold: Any, kind: str) -> None:
        """As a channel's value, an element of a list, and deeper; a `Decimal` that comes back as 0 is found late."""
        values = {inside: wrap(VALUES[kind]) for inside, wrap in CONTAINERS.items()}
        Author(both).put(1, values)
        for reader in (both, cold(both)):
            for inside, found in reader.values(at()).items():
                assert faithful(found, values[inside]), f"{inside}: {found!r} is not {values[inside]!r}"

    @every_value
    def test_a_value_in_a_write_is_what_it_was(self, both: Both, kind: str) -> None:
        """What a task returned is applied from there when its siblings failed."""
        config = Author(both).put(1)
        both.put_writes(config, [("c", VALUES[kind]), ("__resume__", [VALUES[kind]])], task(1))
        (_, _, resumed), (_, _, found) = both.writes(config)
        assert faithful(found, VALUES[kind])
        assert faithful(resumed, [VALUES[kind]])

    @every_value
    def test_a_value_that_does_not_change_stays_what_it_is(self, both: Both, kind: str) -> None:
        """Though it is stored once and read under later checkpoints, among other elements."""
        author = Author(both)
        value = VALUES[kind]
        author.put(1, {"c": [value], "fixed": value})
        author.put(2, {"c": [value, "more"]}, after=1)
        author.put(3, {"c": ["less"]}, after=2)
        author.put(4, {"c": ["less", value]}, after=3)
        expected = [["less", value], ["less"], [value, "more"], [value]]
        for found, elements in zip(both.listing(at()), expected, strict=True):
            assert faithful(found.checkpoint["channel_values"]["c"], elements)
            assert faithful(found.checkpoint["channel_values"]["fixed"], value)

    def test_elements_that_are_equal_but_of_other_types_are_not_confused(self, both: Both) -> None:
        """`1 == True == 1.0`, and a list that is compared with `==` does not see that one became the other."""
        author = Author(both)
        alike: list[list[Any]] = [[1, 0], [True, False], [1.0, -0.0], [1, 0.0], ["1", b"1"], [b"1", "1"], [None, ""]]
        for number, value in enumerate(alike, 1):
            author.put(number, {"c": value, "d": {"k": value}}, after=number - 1 or None)
        for number, value in enumerate(alike, 1):
            assert same(both.values(author.at(number)), {"c": value, "d": {"k": value}})

    def test_a_value_that_changes_its_type_changes_it(self, both: Both) -> None:
        """One channel, a list at first."""
        author = Author(both)
        changes: list[Any] = [[1], None, [], {"a": 1}, "text", ["text"], b"", 0, [0], (), {}, [[]], [None]]
        for number, value in enumerate(changes, 1):
            author.put(number, {"c": value}, after=number - 1 or None)
        for number, value in enumerate(changes, 1):
            assert same(both.values(author.at(number))["c"], stored(value))

    @pytest.mark.parametrize("kind", UNSTORABLE)
    @pytest.mark.parametrize("inside", CONTAINERS)
    def test_what_cannot_be_stored_is_refused_before_anything_is(self, both: Both, kind: str, inside: str) -> None:
        """The thread is as it was, and goes on."""
        value = UNSTORABLE[kind]
        author = Author(both)
        author.put(1, {"c": "good"})
        terms = author.terms(2, {"c": CONTAINERS[inside](value), "d": 1}, after=1)
        with pytest.raises((TypeError, ValueError, RuntimeError)):
            both.put(*terms)
        with pytest.raises((TypeError, ValueError, RuntimeError)):
            both.put_writes(author.at(1), [("c", 1), ("d", CONTAINERS[inside](value))], task(1))
        assert both.values(at()) == {"c": "good"}
        author.put(3, {"c": "better"}, after=1)
        assert both.values(at()) == {"c": "better"}

    def test_a_value_of_many_megabytes_comes_back_whole(self, both: Both) -> None:
        """Unless a limit says otherwise, as the saver's own tests do."""
        value = {"big": "x" * 3_000_000, "list": [str(number) * 10 for number in range(20_000)]}
        Author(both).put(1, {"c": value})
        assert both.values(at()) == {"c": value}


class Surrogates(Harness):
    """LangGraph's own serializer makes a question mark of half a character."""

    def test_half_a_character_is_refused_or_kept(self, both: Both) -> None:
        """Never replaced in silence: it is in a key of a dict, or in what a tool is to search for."""
        author = Author(both)
        author.put(1)
        for number, value in enumerate(["a\ud800b", ["\udfff"], {"k": ["\ud800"]}, {"\ud800": 1}], 2):
            try:
                author.put(number, {"c": value}, after=1)
                both.put_writes(author.at(1), [("c", value)], task(number))
            except (ValueError, TypeError):
                assert both.find(author.at(number)) is None
            else:
                assert both.values(author.at(number)) == {"c": value}
                assert both.writes(author.at(1))[-1] == (task(number), "c", value)


class AllowLists(Harness):
    """Types that a graph's schema names are let through, by a saver that is a copy of the saver."""

    def test_a_type_that_was_allowed_later_is_read_as_itself(self, both: Both) -> None:
        """`with_allowlist` copies the saver: both must see the same data, and close nothing of each other's."""
        allowed = both.over(both.saver.with_allowlist({(Ticket.__module__, Ticket.__name__)}))
        author = Author(allowed)
        author.put(1, {"c": Ticket(7), "l": [Ticket(8)]})
        allowed.put_writes(author.at(1), [("c", Ticket(9))], task(1))
        assert allowed.values(at()) == {"c": Ticket(7), "l": [Ticket(8)]}
        assert allowed.writes(at()) == [(task(1), "c", Ticket(9))]
        Author(both).put(2, {"c": "plain"})
        assert allowed.values(at()) == {"c": "plain"}

    def test_own_types_in_a_schema_are_allowed_in_strict_mode(
        self, both: Both, cold: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """LangGraph collects them as it compiles a graph; nobody lists them by hand."""
        monkeypatch.setattr(_serde, "STRICT_MSGPACK_ENABLED", True)
        monkeypatch.setattr(_msgpack, "STRICT_MSGPACK_ENABLED", True)
        config = at("tickets")
        for number, driven in enumerate((both, cold(both)), 1):
            graph = _tickets(driven)
            both.invoke(graph, {"ticket": Ticket(number)}, config)
            state = both.state(graph, config).values
            assert state == {"ticket": Ticket(number), "open": [Ticket(number), Ticket(100)]}


def _tickets(both: Both) -> Any:
    def work(state: TicketState) -> dict[str, Any]:
        assert isinstance(state["ticket"], Ticket)
        return {"open": [state["ticket"], Ticket(100)]}

    builder = StateGraph(TicketState)
    builder.add_node("work", work)
    builder.add_edge(START, "work")
    builder.add_edge("work", END)
    return builder.compile(checkpointer=both.saver)
