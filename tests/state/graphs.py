"""Host states of every kind that LangGraph takes, and graphs that write to them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

from langgraph.graph import END, START, StateGraph
from langgraph.types import Checkpointer
from pydantic import BaseModel
from typing_extensions import TypedDict

from langgraph_guard.state import (
    GuardState,
    first_wins,
    highest,
    last,
    last_by_id,
    max_by_key,
    monotone_labels,
    sum_by_key,
    union_by_key,
)

LADDER = ("public", "internal", "secret")


class OwnKeys(TypedDict, total=False):
    """One key of a user's own for each generic reducer."""

    calls: Annotated[dict[str, int], sum_by_key]
    peaks: Annotated[dict[str, int], max_by_key]
    found: Annotated[dict[str, Any], union_by_key]
    taint: Annotated[list[str], monotone_labels]
    secrecy: Annotated[str, highest(LADDER)]
    goal: Annotated[str, first_wins]
    notes: Annotated[list[str], last(3)]
    log: Annotated[list[dict[str, Any]], last_by_id(3)]


class TypedDictHost(OwnKeys, GuardState):
    """A host that makes the guards' keys public."""

    question: str


class PlainHost(OwnKeys):
    """A host that knows nothing of guards."""

    question: str


@dataclass
class DataclassHost:
    """The same keys as a dataclass."""

    question: str = ""
    calls: Annotated[dict[str, int], sum_by_key] = field(default_factory=dict)
    peaks: Annotated[dict[str, int], max_by_key] = field(default_factory=dict)
    found: Annotated[dict[str, Any], union_by_key] = field(default_factory=dict)
    taint: Annotated[list[str], monotone_labels] = field(default_factory=list)
    secrecy: Annotated[str, highest(LADDER)] = ""
    goal: Annotated[str, first_wins] = ""
    notes: Annotated[list[str], last(3)] = field(default_factory=list)
    log: Annotated[list[dict[str, Any]], last_by_id(3)] = field(default_factory=list)


class PydanticHost(BaseModel):
    """The same keys as a model."""

    question: str = ""
    calls: Annotated[dict[str, int], sum_by_key] = {}
    peaks: Annotated[dict[str, int], max_by_key] = {}
    found: Annotated[dict[str, Any], union_by_key] = {}
    taint: Annotated[list[str], monotone_labels] = []
    secrecy: Annotated[str, highest(LADDER)] = ""
    goal: Annotated[str, first_wins] = ""
    notes: Annotated[list[str], last(3)] = []
    log: Annotated[list[dict[str, Any]], last_by_id(3)] = []


class View(OwnKeys, GuardState):
    """What a guard's node reads: its own keys, and the user's declared a second time."""


HOSTS: tuple[type, ...] = (TypedDictHost, PlainHost, DataclassHost, PydanticHost)

ONE: dict[str, Any] = {
    "calls": {"search": 1},
    "peaks": {"tokens": 5},
    "found": {"a": {"text": "x"}},
    "taint": ["web"],
    "secrecy": "internal",
    "goal": "book a flight",
    "notes": ["n1", "n2"],
    "log": [{"id": "l1"}],
}
OTHER: dict[str, Any] = {
    "calls": {"search": 2, "fetch": 1},
    "peaks": {"tokens": 3},
    "found": {"b": 1},
    "taint": ["mail"],
    "secrecy": "public",
    "goal": "something else",
    "notes": ["n3", "n4"],
    "log": [{"id": "l1"}, {"id": "l2"}],
}
BOTH: dict[str, Any] = {
    "calls": {"search": 3, "fetch": 1},
    "peaks": {"tokens": 5},
    "found": {"a": {"text": "x"}, "b": 1},
    "taint": ["mail", "web"],
    "secrecy": "internal",
    "goal": "book a flight",
    "notes": ["n2", "n3", "n4"],
    "log": [{"id": "l1"}, {"id": "l2"}],
}
"""`ONE` and then `OTHER`."""


def writer(update: Mapping[str, Any]) -> Any:
    """A node that writes `update`. Its view brings the guards' keys into any host."""

    def write(state: View) -> dict[str, Any]:
        return dict(update)

    return write


def in_a_row(host: type, *updates: Mapping[str, Any], saver: Checkpointer = None) -> Any:
    """A graph that writes one update after the other."""
    graph: Any = StateGraph(host)
    names = [f"step_{number}" for number in range(len(updates))]
    for name, update in zip(names, updates, strict=True):
        graph.add_node(name, writer(update))
    for one, following in zip([START, *names], [*names, END], strict=True):
        graph.add_edge(one, following)
    return graph.compile(checkpointer=saver)


def side_by_side(host: type, **updates: Mapping[str, Any]) -> Any:
    """A graph whose nodes, by these names, all write in the same superstep."""
    graph: Any = StateGraph(host)
    for name, update in updates.items():
        graph.add_node(name, writer(update))
        graph.add_edge(START, name)
        graph.add_edge(name, END)
    return graph.compile()
