"""Kinds of values that people keep in their states, one or more of each, and classes of their own."""

from __future__ import annotations

import re
from collections import Counter, OrderedDict, defaultdict, deque
from dataclasses import InitVar, dataclass, field
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum, Flag, IntEnum
from ipaddress import IPv4Address, IPv4Network, IPv6Interface
from pathlib import Path
from typing import Any, Final, NamedTuple, TypedDict
from uuid import UUID
from zoneinfo import ZoneInfo

import numpy as np
from langchain_core.documents import Document
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage, RemoveMessage, SystemMessage, ToolMessage
from langgraph.checkpoint.serde.types import _DeltaSnapshot
from langgraph.types import Command, Interrupt, Overwrite, Send, TimeoutPolicy
from pydantic import BaseModel, SecretStr


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


class Size(IntEnum):
    SMALL = 1


class Right(Flag):
    READ = 1
    WRITE = 2


class Corner(Enum):
    """Its values are tuples, which msgpack turns into lists."""

    ORIGIN = (0, 0)
    FAR = (9, 9)


class Point(NamedTuple):
    x: int
    y: int


@dataclass
class Note:
    text: str
    colour: Colour = Colour.RED
    inner: Any = None


@dataclass(frozen=True)
class Total:
    """Not all of its fields are arguments."""

    parts: list[int]
    scale: InitVar[int] = 1
    sum: int = field(init=False, default=0)

    def __post_init__(self, scale: int) -> None:
        object.__setattr__(self, "sum", sum(self.parts) * scale)


class Ticket(BaseModel):
    title: str
    colour: Colour = Colour.BLUE
    due: datetime | None = None
    extra: Any = None


class Outer:
    """A place for a class."""

    @dataclass
    class Inner:
        value: int


class Everything(TypedDict):
    """A graph's state: naming it names what is in it."""

    notes: list[Note]
    tickets: dict[str, Ticket] | None
    points: tuple[Point, ...]


class Stranger:
    """Nobody ever heard of it."""


@dataclass
class Unlisted:
    """It could be stored, but nobody allowed it."""

    secret: str = "sk-canary"


ALLOWED: Final = [Everything, Size, Right, Corner, Total, Outer.Inner, SecretStr]
MOMENT: Final = datetime(2026, 3, 1, 12, 30, 15, 250, tzinfo=UTC)

VALUES: Final[dict[str, Any]] = {
    "none": None,
    "bool": True,
    "int": -7,
    "largest int": 2**64 - 1,
    "smallest int": -(2**63),
    "float": 0.1,
    "nan": float("nan"),
    "inf": float("-inf"),
    "str": "text",
    "str with NUL": "a\x00b",
    "str beyond the BMP": "\U0001f600 \u202e\u0301",
    "empty str": "",
    "bytes": b"\x00\xc1\xff",
    "bytearray": bytearray(b"ab"),
    "list": [1, [2, ["3"]], {}],
    "tuple": (1, "b"),
    "dict": {"a": {"b": None}},
    "dict with int keys": {1: "a", -2: "b"},
    "dict with tuple keys": {(1, 2): "a"},
    "dict with None as key": {None: 1, True: 2, 1.5: 3},
    "Counter": Counter("aab"),
    "defaultdict": defaultdict(list, {"a": [1]}),
    "OrderedDict": OrderedDict(b=1, a=2),
    "set": {1, 2},
    "frozenset": frozenset({"a"}),
    "deque": deque([1, 2]),
    "naive datetime": MOMENT.replace(tzinfo=None),
    "datetime": MOMENT,
    "datetime in a zone": MOMENT.astimezone(ZoneInfo("Europe/Vienna")),
    "date": MOMENT.date(),
    "time": time(12, 30, tzinfo=timezone(timedelta(hours=2))),
    "timedelta": timedelta(days=-1, microseconds=5),
    "timezone": timezone(timedelta(hours=-3)),
    "ZoneInfo": ZoneInfo("Asia/Kolkata"),
    "UUID": UUID("12345678-1234-5678-1234-567812345678"),
    "Decimal": Decimal("1.10"),
    "IP address": [IPv4Address("10.0.0.1"), IPv4Network("10.0.0.0/8"), IPv6Interface("::1/64")],
    "Path": Path("/a/b"),
    "regex": re.compile("a+", re.IGNORECASE),
    "enum": Colour.BLUE,
    "int enum": Size.SMALL,
    "flag": Right.READ | Right.WRITE,
    "enum of tuples": Corner.FAR,
    "named tuple": Point(1, 2),
    "dataclass": Note("n", inner=[Note("inner"), {"deep": Colour.RED}]),
    "dataclass with computed fields": Total([1, 2], 3),
    "class inside a class": Outer.Inner(1),
    "pydantic": Ticket(title="t", due=MOMENT, extra={"a": Point(1, 2)}),
    "secret": SecretStr("s"),
    "array": np.arange(6, dtype="<i4").reshape(2, 3),
    "array in Fortran's order": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    "slice of an array": np.arange(10)[::3],
    "array of moments": np.array(["2026-01-01"], dtype="datetime64[D]"),
    "human message": HumanMessage("hi", id="1", name="ann", additional_kwargs={"a": 1}),
    "human message in blocks": HumanMessage([{"type": "text", "text": "hi"}], id="1"),
    "ai message": AIMessage(
        "",
        id="2",
        tool_calls=[{"name": "f", "args": {"a": [1]}, "id": "c", "type": "tool_call"}],
        usage_metadata={"input_tokens": 1, "output_tokens": 2, "total_tokens": 3},
        response_metadata={"model_name": "m"},
    ),
    "ai message with a field of its own": AIMessage("x", id="2", mood="good"),
    "tool message": ToolMessage("r", tool_call_id="c", artifact={"rows": [1, 2]}, status="error"),
    "system message": SystemMessage("s"),
    "chunk": AIMessageChunk("part", id="3"),
    "removal": RemoveMessage(id="3"),
    "document": Document(page_content="p", metadata={"k": 1}, id="d"),
    "send": Send("node", {"a": Point(1, 2)}),
    "send with a timeout": Send("node", 1, timeout=TimeoutPolicy(run_timeout=2)),
    "command": Command(update={"a": 1}, goto=["b"]),
    "interrupt": Interrupt({"ask": 1}, id="i"),
    "overwrite": Overwrite([1]),
    "delta snapshot": _DeltaSnapshot([HumanMessage("h", id="1")]),
    "exception": ValueError("no"),
    "list of messages": [HumanMessage("a", id="1"), AIMessage("b", id="2")],
}

MARKERS: Final[dict[str, dict[str, Any]]] = {
    "lc": {"lc": 2, "type": "constructor", "id": ["os", "mkdir"], "kwargs": {"path": "/x"}},
    "lc 1": {"lc": 1, "type": "constructor", "id": ["langchain", "schema", "HumanMessage"], "kwargs": {}},
    "bytes": {"__bytes__": "AAE="},
    "send": {"__send__": True, "node": "n", "arg": 1},
    "interrupt": {"__interrupt__": True, "value": 1},
    "snapshot": {"__delta_snapshot__": [1]},
    "class": {"__class__": "Stranger", "__module__": "x", "__dict__": {}},
    "constructor": {"type": "constructor", "id": ["builtins", "eval"]},
    "tuple": {"__tuple__": [1, 2]},
}
"""Plain dicts of users that look like other serializers' marks."""

BETTER: Final = {
    "bytearray",
    "class inside a class",
    "dataclass with computed fields",
    "enum of tuples",
    "array of moments",
}
"""Values that LangGraph's serializer refuses or gives back as something else."""


def same(one: Any, other: Any) -> bool:
    """Whether two values are equal, of one type, and alike where `==` does not look."""
    if type(one) is not type(other):
        return False
    if isinstance(one, np.ndarray):
        return one.dtype == other.dtype and one.shape == other.shape and bool((one == other).all())
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, date | float | Send):
        return repr(one) == repr(other)
    return bool(one == other)
