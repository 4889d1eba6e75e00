"""What of a run's data is shown: all of it, little of it, or nothing; without its secrets in each case.

A node's input is the whole state, and so is its output: to send both for every node costs more than the node. `slim`
shows the last message and how many there are, and clips everything else.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any, Final, Literal

from langchain_core.messages import BaseMessage, ToolMessage
from langchain_core.outputs import ChatGeneration, Generation, LLMResult
from pydantic import BaseModel

from langgraph_guard.observability.credentials import HIDDEN, is_secret
from langgraph_guard.observability.redaction import FAILED, Redactor

Payload = Literal["slim", "full", "none"]

TEXT: Final = 1_000
"""Characters of one text in a slim payload."""
STATUS: Final = 500
"""Characters of a status text, in every payload."""
TOTAL: Final = 4_000
"""Characters of all texts in one slim payload."""
VALUE: Final = 8
"""Characters that any value counts as, also one without a text: what is wide is endless to go through."""
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
    "langfuse_trace_name",
)
IDS: Final = ("langfuse_session_id", "langfuse_user_id")
WIDE: Final = 200
"""Characters of what a whole trace is found by; Langfuse leaves out what is longer."""
MODEL: Final = "model_name"
FIGURES: Final = ("type", "status", "usage_metadata")
"""Fields of a message that are nobody's words."""
NAMES: Final = ("name", "id", "tool_call_id", "role")
BITS: Final = 512
"""A number of more is not written down: from some length on Python refuses to."""
FULL_TEXT: Final = 32_768
"""Characters of one text in a full payload, and below how many values: a run waits while it is read."""
FULL_ITEMS: Final = 5_000


def within(text: str) -> str:
    """What fits `WIDE`: of a longer text the beginning, and a digest of the whole."""
    if len(text) <= WIDE:
        return text
    end = hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
    return f"{text[: WIDE - len(end) - 1]}…{end}"


def fits(value: Any) -> bool:
    """Whether a value of metadata goes with each observation of a trace; the root has it all the same."""
    try:
        return len(json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str)) <= WIDE
    except Exception:
        return False


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
        except Exception:  # what raises when it is asked for its class
            return FAILED

    def metadata(self, metadata: Mapping[str, Any] | None, *, below: bool = False) -> dict[str, Any] | None:
        """A run's metadata: it names the run, so it is shown in every payload, clipped. `below` the root: what is
        the run's own, since the rest is the same everywhere, and each name costs something at each observation."""
        if metadata is None:
            return None
        try:
            if below and self.kind != "full":
                return {name: self._plain(metadata[name]) for name in OWN if name in metadata}
            return {self.text(_said(name)): self._named(name, value) for name, value in metadata.items()}
        except Exception:
            return {}

    def _named(self, name: str, value: Any) -> Any:
        shown = self._id(value) if name in IDS and isinstance(value, str) else self._plain(value)
        return HIDDEN if is_secret(name) and not _is_figure(shown) else shown

    def _id(self, id: str) -> str:
        """Two that are long and begin alike stay two."""
        return within(self._redactor.clip(id, FULL_TEXT))

    def _plain(self, value: Any) -> Any:
        """Guarded each: the session and the trace are in the same metadata."""
        try:
            return self.text(value) if isinstance(value, str) else _Slim(self._redactor).value(value, 0)
        except Exception:
            return FAILED

    def messages(self, messages: Sequence[BaseMessage]) -> list[BaseMessage]:
        """What a model was asked: the last message of it in a slim payload."""
        kept = messages if self.kind == "full" else messages[-1:] if self.kind == "slim" else ()
        return [self.message(message) for message in kept]

    def message(self, message: BaseMessage) -> BaseMessage:
        """A message of the same class, which handlers tell apart by it."""
        try:
            if self.kind == "full":
                whole = self._redactor.value(message, chars=FULL_TEXT, most=FULL_ITEMS)
                return whole if isinstance(whole, BaseMessage) else message.model_copy(update=_blank(message, FAILED))
            return message.model_copy(update={**_blank(message, ""), **self._thin(message)})
        except Exception:
            return message.model_copy(update=_blank(message, FAILED))

    def _thin(self, message: BaseMessage) -> dict[str, Any]:
        """What is shown of it; its other fields may hold anything."""
        said = {name: getattr(message, name, None) for name in NAMES}
        thin: dict[str, Any] = {name: self.text(each) for name, each in said.items() if isinstance(each, str)}
        if not isinstance(message, ToolMessage):  # some providers say there what a call used
            thin["response_metadata"] = _figures(message.response_metadata)
        if self.kind == "none":
            return thin
        for calls in ("tool_calls", "invalid_tool_calls"):
            if getattr(message, calls, None):
                thin[calls] = self.picked(getattr(message, calls))
        return {**thin, "content": self._content(message)}

    def _content(self, message: BaseMessage) -> Any:
        content = message.content
        return self._redactor.clip(content, TEXT) if isinstance(content, str) else self.picked(content)

    def answer(self, response: LLMResult) -> LLMResult:
        """A model's answer, with the figures that it came with."""
        last = [batch[-1:] for batch in response.generations[-1:]]
        said = response.llm_output or {}
        texts = (name for name, each in said.items() if isinstance(each, str) or name == MODEL)
        shown = {**said, **{name: self._plain(said[name]) for name in texts}}
        generations = [[self._generation(each) for each in batch] for batch in last]
        return LLMResult(generations=generations, llm_output=shown or None)

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
        try:
            return self._part(value, depth)
        except Exception:
            return FAILED

    def _part(self, value: Any, depth: int) -> Any:
        if self._left <= 0:
            return "…"
        self._left -= VALUE
        if value is None or isinstance(value, bool | float):
            return value
        if isinstance(value, str):
            return self._text(value)
        if isinstance(value, int):
            return self._number(value)
        if depth > DEEPEST:
            return "…"
        if isinstance(value, BaseMessage):
            return self._message(value, depth)
        if isinstance(value, Mapping):
            return self._named(value, depth)
        if isinstance(value, list | tuple):
            return self._items(value, depth)
        return self._object(value, depth)

    def _text(self, text: str) -> str:
        limit = max(0, min(TEXT, self._left))
        shown = self._redactor.clip(text, limit)
        self._left -= max(len(shown), min(len(text), limit))  # what was read, if nothing of it is left
        return shown

    def _number(self, number: int) -> Any:
        if not _is_figure(number):
            return "<int>"
        return number if self._text(str(number)) == str(number) else HIDDEN

    def _message(self, message: BaseMessage, depth: int) -> dict[str, Any]:
        shown = {"type": self._text(message.type), "content": self.value(message.content, depth + 1)}
        if calls := getattr(message, "tool_calls", None):
            shown["tool_calls"] = self.value(calls, depth + 1)
        return shown

    def _named(self, named: Mapping[Any, Any], depth: int) -> dict[str, Any]:
        shown: dict[str, Any] = {}
        for looked_at, name in enumerate(named):
            if depth == 0 and looked_at < ITEMS + OURS and _is_ours(name):
                continue
            if self._left <= 0 or len(shown) >= ITEMS or looked_at >= ITEMS + OURS:
                return {**shown, "…": f"{len(named)} in all"}
            shown[self._text(str(name))] = self._under(name, named[name], depth)
        return shown

    def _under(self, name: Any, item: Any, depth: int) -> Any:
        return HIDDEN if item is not None and is_secret(name) else self.value(item, depth + 1)

    def _items(self, items: Sequence[Any], depth: int) -> Any:
        if len(items) > 1 and isinstance(items[-1], BaseMessage):
            return {"count": len(items), "last": self._message(items[-1], depth)}
        shown: list[Any] = []
        for item in items[:ITEMS]:
            if self._left <= 0:
                break
            shown.append(self.value(item, depth + 1))
        return [*shown, f"… {len(items) - len(shown)} more"] if len(items) > len(shown) else shown

    def _object(self, value: Any, depth: int) -> Any:
        if isinstance(value, BaseModel):
            return self._named(dict(value), depth)
        if is_dataclass(value) and not isinstance(value, type):
            return self._named({field.name: getattr(value, field.name, None) for field in fields(value)}, depth)
        if hasattr(value, "node") and hasattr(value, "arg"):  # LangGraph's Send
            return self._named({"node": value.node, "arg": value.arg}, depth)
        return f"<{type(value).__name__}>"


def _blank(message: BaseMessage, content: str) -> dict[str, Any]:
    """Each field that a message or its class may have, without anybody's words."""
    empty: dict[str, Any] = {"content": content, "additional_kwargs": {}, "response_metadata": {}}
    empty |= {calls: [] for calls in ("tool_calls", "invalid_tool_calls", "tool_call_chunks")}
    return {name: empty.get(name) for name, _ in message if name not in FIGURES}


def _figures(said: Mapping[str, Any], depth: int = 2) -> dict[str, Any]:
    """What was counted, without the words around it."""
    figures = {name: each for name, each in said.items() if isinstance(each, int | float)}
    below = {name: each for name, each in said.items() if isinstance(each, Mapping) and depth > 0}
    return {**figures, **{name: _figures(each, depth - 1) for name, each in below.items()}}


def _said(name: object) -> str:
    """A name as a text; what is neither a text nor a number may raise when it is asked for one."""
    return str(name) if isinstance(name, str | int | float) else f"<{type(name).__name__}>"


def _is_figure(value: object) -> bool:
    if isinstance(value, int):
        return value.bit_length() <= BITS
    return value is None or isinstance(value, float)


def _is_ours(name: object) -> bool:
    return isinstance(name, str) and name.startswith("guard_")
