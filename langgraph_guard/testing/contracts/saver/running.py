"""Graphs: a run on this saver goes as it goes on `InMemorySaver`, checkpoint by checkpoint."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import pytest
from langchain_core.messages import HumanMessage
from langgraph.types import Command

from langgraph_guard.testing.contracts.saver import graphs
from langgraph_guard.testing.contracts.saver.harness import Both, Harness, at
from langgraph_guard.testing.contracts.saver.twins import Twins

DURABILITIES: Final = ("sync", "async", "exit")

durability = pytest.mark.parametrize("durability", DURABILITIES)

Cold = Callable[[Both], Both]


def same_everywhere(both: Both, cold: Cold | None = None) -> None:
    """Every checkpoint of every thread is the same for both twins, listed, read alone, and in another process."""
    assert isinstance(both.saver, Twins)
    for reader in (both, cold(both)) if cold else (both,):
        for found in reader.listing(None):
            reader.get(found.config)
            reader.history(found.config, *found.checkpoint["channel_versions"])


class Running(Harness):
    """Final states, histories and what is still open, for each durability."""

    @durability
    def test_an_agent_with_tools_runs_turn_after_turn(self, twins: Both, cold: Cold, durability: str) -> None:
        """The most common graph there is, and each turn of it in a process of its own."""
        driven = twins
        for turn in range(3):
            graph = graphs.react(driven.saver)
            state = twins.invoke(graph, {"messages": [HumanMessage("q", id=f"h{turn}")]}, at(), durability=durability)
            assert len(state["messages"]) == 8 * (turn + 1)
            assert twins.state(graph, at()).values == state
            driven = cold(twins)
        same_everywhere(twins, cold)

    @durability
    def test_a_fan_out_of_fifty_is_joined_in_order(self, twins: Both, cold: Cold, durability: str) -> None:
        """Fifty writes come at once, from as many threads."""
        graph = graphs.fan_out(twins.saver, 50)
        for turn in range(2):
            state = twins.invoke(graph, {"note": "x"}, at(), durability=durability)
            assert state["items"] == [*range(50)] * (turn + 1)
        same_everywhere(twins, cold)

    @durability
    def test_questions_are_answered_in_another_process(self, twins: Both, cold: Cold, durability: str) -> None:
        """Three are open; one answer at a time, each from a process that knows nothing of the others."""
        state = twins.invoke(graphs.asking(twins.saver), {"note": "n"}, at(), durability=durability)
        answers = {"first": 1, "second": 2, "only": 3}
        for _ in range(3):
            driven = cold(twins)
            graph = graphs.asking(driven.saver)
            asked = twins.state(graph, at()).interrupts
            assert {each.id for each in asked} == {each.id for each in state["__interrupt__"]}
            resume = {each.id: answers[_question(each.value)] for each in asked[:1]}
            state = twins.invoke(graph, Command(resume=resume), at(), durability=durability)
        assert sorted(map(str, state["items"])) == ["['once', 3]", "['twice', 1, 2]", "never"]
        assert state["last"] == 3
        same_everywhere(twins, cold)

    @durability
    @pytest.mark.parametrize("remembers", [False, True])
    def test_subgraphs_ask_and_go_on_elsewhere(self, twins: Both, cold: Cold, durability: str, remembers: bool) -> None:
        """Three levels of namespaces; the inner state is found from outside while it waits."""
        for turn in range(3):
            graph = graphs.nested(twins.saver, remembers=remembers)
            twins.invoke(graph, {"items": [turn]}, at(), durability=durability)
            waiting = twins.state(graph, at(), subgraphs=True)
            assert waiting.tasks[0].state.tasks[0].state.values["note"] == "was here"
            driven = cold(twins)
            graph = graphs.nested(driven.saver, remembers=remembers)
            state = twins.invoke(graph, Command(resume=f"answer {turn}"), at(), durability=durability)
            assert state["items"][-1] == f"answer {turn}"
        same_everywhere(twins, cold)

    @durability
    def test_what_finished_beside_a_failure_is_not_run_again(self, twins: Both, cold: Cold, durability: str) -> None:
        """Its writes are kept as pending; with durability="exit" too, for the exit stores them."""
        failures, ran = ["b"], list[str]()
        with pytest.raises(RuntimeError, match="b failed"):
            twins.invoke(graphs.flaky(twins.saver, failures, ran), {"items": ["in"]}, at(), durability=durability)
        finished = {value[0] for _, name, value in twins.writes(at()) if name == "items"}
        failures.clear()
        ran.clear()
        state = twins.invoke(graphs.flaky(cold(twins).saver, failures, ran), None, at(), durability=durability)
        assert state["items"] == ["in", "a", "b", "c"]
        assert sorted(ran) == sorted({"a", "b", "c"} - finished)
        same_everywhere(twins, cold)

    @durability
    def test_a_command_goes_where_it_says(self, twins: Both, cold: Cold, durability: str) -> None:
        """`None` in an update is a value of its channel."""
        graph = graphs.routed(twins.saver)
        twins.invoke(graph, {"items": ["in"], "last": 1}, at(), durability=durability)
        state = twins.invoke(graph, {"note": "right"}, at(), durability=durability)
        assert (state["items"], state["last"]) == (["in", "chose", "left", "chose", "right"], None)
        same_everywhere(twins, cold)

    @durability
    def test_a_run_stops_before_and_after_nodes(self, twins: Both, cold: Cold, durability: str) -> None:
        """Breakpoints compare versions; a version that changed its type would be seen here."""
        graph = graphs.steps(twins.saver, interrupt_before=["b"], interrupt_after=["b"])
        nexts = []
        for input in ({"items": ["in"]}, None, None):
            twins.invoke(graph, input, at(), durability=durability)
            nexts.append(twins.state(graph, at()).next)
        assert nexts == [("b",), ("c",), ()]
        same_everywhere(twins, cold)

    def test_a_number_as_the_thread_is_its_digits(self, both: Both) -> None:
        """`invoke` turns it into a text; `get_state` does not, and is asked with the text here."""
        graph = graphs.steps(both.saver)
        both.invoke(graph, {"items": [0]}, at(7))
        assert both.state(graph, at("7")).values["items"] == [0, "a", "b", "c"]


class TimeTravel(Harness):
    """Going back, on, and elsewhere from any moment."""

    def test_each_moment_can_be_run_from(self, twins: Both, cold: Cold) -> None:
        """Replay from every checkpoint of a thread; what was there stays there."""
        graph = graphs.steps(twins.saver)
        twins.invoke(graph, {"items": ["in"]}, at())
        moments = twins.states(graph, at())
        for moment in moments:
            state = twins.invoke(graphs.steps(cold(twins).saver), None, moment.config)
            assert state["items"][: len(moment.values.get("items", []))] == moment.values.get("items", [])
        for moment in moments:
            assert twins.state(graph, moment.config).values == moment.values
        same_everywhere(twins, cold)

    def test_two_forks_of_one_moment_stay_apart(self, twins: Both, cold: Cold) -> None:
        """With the same channels written on both, to different values."""
        graph = graphs.steps(twins.saver)
        twins.invoke(graph, {"items": ["in"]}, at())
        moment = twins.states(graph, at())[2]
        left = twins.update(graph, moment.config, {"items": ["left"], "last": "L"})
        right = twins.update(graph, moment.config, {"items": ["right"], "last": "R"})
        for config, side in ((left, "left"), (right, "right")):
            assert twins.state(graph, config).values["items"][-1] == side
            assert side in twins.invoke(graph, None, config)["items"]
        same_everywhere(twins, cold)

    def test_a_moment_can_be_copied_and_run_again(self, twins: Both, cold: Cold) -> None:
        """`__copy__` puts a fork in which no version is new."""
        graph = graphs.steps(twins.saver)
        twins.invoke(graph, {"items": ["in"], "note": "kept"}, at())
        moment = twins.states(graph, at())[2]
        copy = twins.update(graph, moment.config, None, as_node="__copy__")
        assert twins.state(graph, copy).values["items"] == moment.values["items"]
        assert twins.invoke(graph, None, copy)["note"] == "kept"
        same_everywhere(twins, cold)

    def test_states_may_be_updated_as_any_node(self, twins: Both, cold: Cold) -> None:
        """On a thread that is new, in the middle, and at its end."""
        graph = graphs.steps(twins.saver)
        twins.update(graph, at(), {"items": ["made up"], "last": None}, as_node="a")
        assert twins.state(graph, at()).next == ("b",)
        twins.invoke(graph, None, at())
        twins.update(graph, at(), {"items": ["again"]}, as_node="b")
        state = twins.invoke(graph, None, at())
        assert state["items"] == ["made up", "b", "c", "again", "c"]
        twins.update(graph, at(), None, as_node="__end__")
        same_everywhere(twins, cold)

    @pytest.mark.parametrize("remembers", [False, True])
    def test_time_travel_reaches_into_subgraphs(self, twins: Both, cold: Cold, remembers: bool) -> None:
        """The inner checkpoint is found by `list` with a cursor of the outer namespace."""
        graph = graphs.nested(twins.saver, remembers=remembers)
        for turn in range(2):
            twins.invoke(graph, {"items": [turn]}, at())
            twins.invoke(graph, Command(resume=f"answer {turn}"), at())
        for moment in twins.states(graph, at()):
            graph = graphs.nested(cold(twins).saver, remembers=remembers)
            twins.invoke(graph, None, moment.config)
            if twins.state(graph, at()).next:
                twins.invoke(graph, Command(resume="again"), at())
        same_everywhere(twins, cold)

    def test_a_question_can_be_answered_again(self, twins: Both, cold: Cold) -> None:
        """From the moment at which it was open; the first answer is stored there as a write."""
        graph = graphs.nested(twins.saver, remembers=False)
        twins.invoke(graph, {"items": [0]}, at())
        question = twins.state(graph, at()).config
        assert twins.invoke(graph, Command(resume="yes"), question)["items"][-1] == "yes"
        twins.invoke(graphs.nested(cold(twins).saver, remembers=False), Command(resume="no"), question)
        same_everywhere(twins, cold)


def _question(value: Any) -> str:
    """Which question it is that waits for an answer."""
    return value if isinstance(value, str) else next(iter(value))
