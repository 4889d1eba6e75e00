"""What of a run's data is shown: all of it, little of it, or nothing; without its secrets in each case.

A node's input is the whole state, and so is its output: to send both for every node costs more than the node. `slim`
shows the last message and how many there are, and clips everything else.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from itertools import islice
from typing import Any, Final, Literal

from langchain_core.messages import BaseMessage, ToolMessage
from langchain_core.outputs import ChatGeneration, Generation, LLMResult
from pydantic import BaseModel

from langgraph_guard.observability.redaction import FAILED, HIDDEN, Redactor, is_secret

Payload = Literal["slim", "full", "none"]

TEXT: Final = 1_000
"""Characters of one text in a slim payload."""
STATUS: Final = 500
"""Characters of a status text, in every payload."""
TOTAL: Final = 4_000
"""Characters of all texts in one slim payload."""
ITEMS: Final = 20
OURS: Final = 20
"""Keys of a state that are the guards' own books: what they decided is shown as observations."""
DEEPEST: Final = 5
OWN: Final = (
    "langgraph_node",
    "langgraph_step",
    "langgraph_checkpoint_ns",
    "ls_provider",
    "ls_model_name",
    "langfuse_prompt",
    "langfuse_trace_name",
)
FULL_TEXT: Final = 32_768
"""Characters of one text in a full payload, and below how many values: a run waits while it is read."""
FULL_ITEMS: Final = 5_000


class Payloads:
    """Prepares what observations hold. Never raises."""

    def __init__(self, kind: Payload, redactor: Redactor) -> None:
        self.kind = kind
        self._redactor = redactor

    def text(self, text: str) -> str:
        """A status text, a name, a tag."""
        return self._redactor.clip(text, STATUS)

    def shown(self, value: Any) -> Any:
        """A state, a tool's arguments or its result: as JSON where it is slim, which Langfuse then leaves alone."""
        picked = self.picked(value)
        return picked if picked is None or self.kind == "full" or isinstance(picked, str) else json.dumps(picked)

    def picked(self, value: Any) -> Any:
        """What is shown of a value, in JSON's own types where it is slim."""
        if value is None or self.kind == "none":
            return None
        if self.kind == "full":
            return self._redactor.value(value, chars=FULL_TEXT, most=FULL_ITEMS)
        try:
            return _Slim(self._redactor).value(value, 0)
        except Exception:
            return FAILED

    def metadata(self, metadata: Mapping[str, Any] | None, *, below: bool = False) -> dict[str, Any] | None:
        """A run's metadata: it names the run, so it is shown in every payload, clipped. `below` the root: what is
        the run's own, since the rest is the same everywhere, and each name costs something at each observation."""
        if metadata is None:
            return None
        try:
            if below and self.kind != "full":
                metadata = {name: metadata[name] for name in OWN if name in metadata}
            return {self.text(str(name)): self._named(name, value) for name, value in metadata.items()}
        except Exception:
            return {}

    def _named(self, name: str, value: Any) -> Any:
        if value is None or isinstance(value, bool | int | float):
            return value
        if is_secret(name):
            return HIDDEN
        return self.text(value) if isinstance(value, str) else _Slim(self._redactor).value(value, 0)

    def messages(self, messages: Sequence[BaseMessage]) -> list[BaseMessage]:
        """What a model was asked: the last message of it in a slim payload."""
        kept = messages if self.kind == "full" else messages[-1:] if self.kind == "slim" else ()
        return [self.message(message) for message in kept]

    def message(self, message: BaseMessage) -> BaseMessage:
        """A message of the same class, which handlers tell apart by it."""
        try:
            if self.kind == "full":
                return message.model_copy(update=self._redactor.value(dict(message), chars=FULL_TEXT, most=FULL_ITEMS))
            return message.model_copy(update=self._thin(message))
        except Exception:
            return message.model_copy(update={"content": FAILED, "additional_kwargs": {}, "tool_calls": []})

    def _thin(self, message: BaseMessage) -> dict[str, Any]:
        shows = self.kind == "slim"
        thin: dict[str, Any] = {"content": self._content(message) if shows else "", "additional_kwargs": {}}
        for calls in ("tool_calls", "invalid_tool_calls"):
            if getattr(message, calls, None):
                thin[calls] = self.picked(getattr(message, calls)) if shows else []
        return thin | ({"artifact": None} if isinstance(message, ToolMessage) else {})

    def _content(self, message: BaseMessage) -> Any:
        content = message.content
        return self._redactor.clip(content, TEXT) if isinstance(content, str) else self.picked(content)

    def answer(self, response: LLMResult) -> LLMResult:
        """A model's answer, with the figures that it came with."""
        last = response.generations[-1][-1]
        return LLMResult(generations=[[self._generation(last)]], llm_output=response.llm_output)

    def _generation(self, last: Any) -> Generation:
        if isinstance(last, ChatGeneration):
            return ChatGeneration(message=self.message(last.message), generation_info=last.generation_info)
        text = "" if self.kind == "none" else self._redactor.clip(str(last.text), TEXT)
        return Generation(text=text, generation_info=last.generation_info)


class _Slim:
    """One pass over one value, which stops when enough is shown."""

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor
        self._left = TOTAL

    def value(self, value: Any, depth: int) -> Any:
        if value is None or isinstance(value, bool | float):
            return value
        if isinstance(value, str):
            return self._text(value)
        if isinstance(value, int):
            return value if self._text(str(value)) == str(value) else HIDDEN
        if depth > DEEPEST or self._left <= 0:
            return "…"
        if isinstance(value, BaseMessage):
            return self._message(value, depth)
        if isinstance(value, Mapping):
            return self._named(value, depth)
        if isinstance(value, list | tuple):
            return self._items(value, depth)
        return self._object(value, depth)

    def _text(self, text: str) -> str:
        shown = self._redactor.clip(text, max(0, min(TEXT, self._left)))
        self._left -= len(shown)
        return shown

    def _message(self, message: BaseMessage, depth: int) -> dict[str, Any]:
        shown = {"type": message.type, "content": self.value(message.content, depth + 1)}
        if calls := getattr(message, "tool_calls", None):
            shown["tool_calls"] = self.value(calls, depth + 1)
        return shown

    def _named(self, named: Mapping[Any, Any], depth: int) -> dict[str, Any]:
        kept = [(name, named[name]) for name in islice(named, ITEMS + OURS) if not (depth == 0 and _is_ours(name))]
        shown = {self._text(str(name)): self._under(name, item, depth) for name, item in kept[:ITEMS]}
        return shown | ({"…": f"{len(named)} in all"} if len(named) > ITEMS + OURS else {})

    def _under(self, name: Any, item: Any, depth: int) -> Any:
        return HIDDEN if item is not None and is_secret(name) else self.value(item, depth + 1)

    def _items(self, items: Sequence[Any], depth: int) -> Any:
        if len(items) > 1 and isinstance(items[-1], BaseMessage):
            return {"count": len(items), "last": self._message(items[-1], depth)}
        shown = [self.value(item, depth + 1) for item in items[:ITEMS]]
        return [*shown, f"… {len(items) - ITEMS} more"] if len(items) > ITEMS else shown

    def _object(self, value: Any, depth: int) -> Any:
        if isinstance(value, BaseModel):
            return self._named(dict(value), depth)
        if is_dataclass(value) and not isinstance(value, type):
            return self._named({field.name: getattr(value, field.name, None) for field in fields(value)}, depth)
        if hasattr(value, "node") and hasattr(value, "arg"):  # LangGraph's Send
            return self._named({"node": value.node, "arg": value.arg}, depth)
        return f"<{type(value).__name__}>"


def _is_ours(name: object) -> bool:
    return isinstance(name, str) and name.startswith("guard_")
