"""Values of every kind that states hold, and what LangGraph's own serializer makes of each."""

from __future__ import annotations

import collections
import enum
import re
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from ipaddress import IPv4Address, IPv6Network
from pathlib import Path
from typing import Any, Final, NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

from langchain_core.documents import Document
from langchain_core.messages import AIMessage, HumanMessage, RemoveMessage, SystemMessage, ToolMessage
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.types import Command, Interrupt, Overwrite, Send
from pydantic import BaseModel


class Colour(enum.Enum):
    """A user's enum."""

    RED = "red"


@dataclass
class Point:
    """A user's dataclass."""

    x: int
    y: list[int] = field(default_factory=list)


class Person(BaseModel):
    """A user's model."""

    name: str
    born: date


class Pair(NamedTuple):
    """A user's named tuple."""

    left: int
    right: str


@dataclass
class Ticket:
    """A user's dataclass that nobody listed."""

    number: int


STORED_TYPES: Final[tuple[type, ...]] = (Colour, Point, Person, Pair)
"""Types of its own that the contract stores: a saver with an allow-list is made with them."""

VALUES: Final[dict[str, Any]] = {
    "none": None,
    "true": True,
    "false": False,
    "zero": 0,
    "integer": -(2**63),
    "long integer": 2**64 - 1,
    "float": 0.1,
    "whole float": 1.0,
    "negative zero": -0.0,
    "nan": float("nan"),
    "infinity": float("-inf"),
    "text": "text",
    "empty text": "",
    "unicode": "e\u0301 日本 🦜 \u202e",
    "text with a nul": "a\0b",
    "long text": "x" * 100_000,
    "bytes": b"\x00\xff",
    "empty bytes": b"",
    "bytearray": bytearray(b"\x00\xff"),
    "list": [1, "a", None, [2, []]],
    "empty list": [],
    "tuple": (1, (2, 3)),
    "set": {1, 2},
    "frozenset": frozenset({1, 2}),
    "deque": collections.deque([1, 2], maxlen=5),
    "counter": collections.Counter("aab"),
    "defaultdict": collections.defaultdict(list, a=[1]),
    "dict": {"a": {"b": [None, {"c": 1.5}]}, "": 0},
    "empty dict": {},
    "dict of integer keys": {1: "a", -2: "b"},
    "dict of other keys": {True: 1, None: 2, 1.5: 3},
    "decimal": Decimal("1.10"),
    "datetime": datetime(2026, 1, 2, 3, 4, 5, 678_901, tzinfo=UTC),
    "naive datetime": datetime(2026, 1, 2, 3, 4, 5),  # noqa: DTZ001 - users have them
    "date": date(2026, 1, 2),
    "time": time(3, 4, 5, 6),
    "timedelta": timedelta(days=-1, seconds=5, microseconds=7),
    "timezone": timezone(timedelta(hours=5, minutes=30)),
    "zone": ZoneInfo("Europe/Berlin"),
    "uuid": UUID("12345678-1234-5678-1234-567812345678"),
    "path": Path("/a/b"),
    "pattern": re.compile("a+", re.IGNORECASE),
    "address": IPv4Address("127.0.0.1"),
    "network": IPv6Network("::/64"),
    "enum": Colour.RED,
    "dataclass": Point(1, [2]),
    "model": Person(name="Ada", born=date(1815, 12, 10)),
    "named tuple": Pair(1, "a"),
    "exception": ValueError("no"),
    "human message": HumanMessage("hello", id="m1", additional_kwargs={"n": {"x": 1}}),
    "message with tool calls": AIMessage(
        [{"type": "text", "text": "x"}],
        id="m2",
        tool_calls=[{"name": "search", "args": {"q": ["a"]}, "id": "c1"}],
        usage_metadata={"input_tokens": 1, "output_tokens": 2, "total_tokens": 3},
    ),
    "tool message": ToolMessage("result", tool_call_id="c1", artifact={"raw": b"\x00"}, status="error"),
    "remove message": RemoveMessage(id="m1"),
    "document": Document("text", metadata={"page": 1}),
    "send": Send("node", {"a": [1]}),
    "interrupt": Interrupt(value={"q": "sure?"}, id="i1"),
    "command": Command(update={"a": 1}, goto=["b"]),
    "overwrite": Overwrite([1]),
    "messages": [SystemMessage("s", id="m0"), HumanMessage("h", id="m1"), AIMessage("a", id="m2")],
    "dict like a constructor": {"lc": 2, "type": "constructor", "id": ["os", "system"], "kwargs": {}},
    "dict like an old constructor": {"lc": 1, "type": "constructor", "id": ["a"], "kwargs": {}},
    "dict like bytes": {"__bytes__": "AA=="},
    "dict like a send": {"__send__": True, "node": "n", "arg": 1},
    "dict like an interrupt": {"__interrupt__": True, "value": 1},
    "dict like a snapshot": {"__delta_snapshot__": [1]},
    "dict like a marker of a type": {"__type__": "set", "value": [1], "__pydantic__": 1, "$ref": "x"},
}
"""The 36 kinds of the fidelity study, and kinds within those kinds."""


def stored(value: Any) -> Any:
    """What LangGraph's serializer gives back for `value`: the best that a saver can do."""
    serde = JsonPlusSerializer(allowed_msgpack_modules=STORED_TYPES)
    return serde.loads_typed(serde.dumps_typed(value))
