"""Messages made smaller: results that are shown in part, arguments that are cleared, calls that are taken back.

Each function gives back a new message with the same id, or the one that it was given if there is nothing to do.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final, TypeVar

from langchain_core.messages import AIMessage, BaseMessage

from langgraph_guard.nodes.summarization.reading import call_id, calls_of, text_of
from langgraph_guard.policies.compaction.extract import arguments
from langgraph_guard.tools.content.cleaning import clean
from langgraph_guard.tools.content.excerpt import head, tail

M = TypeVar("M", bound=BaseMessage)

NOTE: Final = 60
"""Characters of the line that says what is missing. Where there is room for less, it stands alone."""

HEAD: Final = 0.6

LONG: Final = 80
"""Characters of an argument that stay as they are."""

MANY: Final = 20
"""Arguments of a call that stay."""

BOUND: Final = frozenset({"thinking", "redacted_thinking"})
"""Thoughts that their provider signs."""


def cut(text: str, most: int, what: str = "text") -> str:
    """The beginning and the end of `text`, and between them how much is missing: `most` characters."""
    if len(text) <= most:
        return text
    room = most - NOTE
    if room < NOTE:
        return f"[{what} of {len(text):,} characters, left out]"
    end, start = head(text, int(room * HEAD)), tail(text, room - int(room * HEAD))
    return f"{text[:end]}\n[… {start - end:,} characters left out …]\n{text[start:]}"


def shorter(message: M, most: int, what: str = "result") -> M:
    """`message` with `most` characters of text. Images and files become notes."""
    text = text_of(message)
    first, _, rest = text.partition("\n")
    if _names_an_artifact(first) and len(first) < most:
        said = f"{first}\n{cut(rest, most - len(first), 'part')}"
    else:
        said = cut(text, most, what)
    return message if message.content == said else _with(message, content=said)


def cleared(message: AIMessage) -> AIMessage:
    """`message` with the long arguments of its calls cleared. What they were called with, in short, stays."""
    calls = [{**call, "args": _cleared(call["args"])} for call in message.tool_calls]
    if calls == message.tool_calls:
        return message
    args: dict[str, Any] = {call.get("id") or "": call["args"] for call in calls}
    others = {call.get("id") or "": None for call in calls_of(message)[len(calls) :]}
    return _with_calls(message, calls, message.invalid_tool_calls, {**others, **args})


def without_calls(message: AIMessage, notes: Mapping[int, str]) -> AIMessage:
    """`message` without the calls at these places. Its text says what became of them."""
    kept = [(at, call) for at, call in enumerate(calls_of(message)) if at not in notes]
    said = len(message.tool_calls)
    calls = [call for at, call in kept if at < said]
    broken = [call for at, call in kept if said <= at < said + len(message.invalid_tool_calls)]
    message = _with_calls(message, calls, broken, {call.get("id") or "": None for _, call in kept})
    return _with(message, content=_joined(message.content, "\n".join(notes.values())))


def taken_back(message: AIMessage, place: int, late: str | None) -> str:
    """What is said in the place of a call that has no answer, or one that came too late."""
    every = calls_of(message)
    call = every[place] if place < len(every) else message.additional_kwargs.get("function_call") or {}
    told = clean(f"{call.get('name')} with {arguments(call.get('args', call.get('arguments')), LONG)}").text
    if late is None:
        return f"[{told} was asked for; no answer came]"
    return f"[{told} was asked for; later it answered: {json.dumps(late, ensure_ascii=False)}]"


def without_bound_thoughts(message: AIMessage) -> AIMessage:
    """`message` without thoughts that are signed for a history that is not there any more."""
    if not isinstance(message.content, list):
        return message
    kept = [block for block in message.content if not (isinstance(block, dict) and block.get("type") in BOUND)]
    return message if len(kept) == len(message.content) or not kept else _with(message, content=kept)


# Parts


def _with(message: M, **changed: Any) -> M:
    """Of an AI message, the report of its usage goes: it was of other words, and of a longer history."""
    if isinstance(message, AIMessage):
        changed["usage_metadata"] = None
    return message.model_copy(update=changed)


def _with_calls(message: AIMessage, calls: list[Any], broken: list[Any], args: Mapping[str, Any]) -> AIMessage:
    """`message` with these calls, wherever a provider's kind of message says them again. `args`: of each that stays,
    by id; `None` leaves them."""
    raw = {key: value for key, value in message.additional_kwargs.items() if key not in ("tool_calls", "function_call")}
    return _with(
        message,
        tool_calls=calls,
        invalid_tool_calls=broken,
        additional_kwargs=raw,
        content=_blocks(message.content, args),
    )


def _blocks(content: Any, args: Mapping[str, Any]) -> Any:
    if not isinstance(content, list):
        return content
    kept = [_block(block, args) for block in content]
    return [block for block in kept if block is not None]


def _block(block: Any, args: Mapping[str, Any]) -> Any:
    id = call_id(block)
    if id is None:
        return block
    if id not in args:
        return None
    new = args[id]
    if new is None:
        return block
    if "toolUse" in block:
        return {"toolUse": {**block["toolUse"], "input": new}}
    texts = {name: json.dumps(new, ensure_ascii=False) for name in ("arguments", "partial_json") if name in block}
    return {**block, **{name: new for name in ("input", "args") if name in block}, **texts}


def _cleared(args: Any) -> Any:
    if not isinstance(args, dict):
        return args
    kept = {str(name)[:LONG]: _short(value) for name, value in list(args.items())[:MANY]}
    return kept if len(args) <= MANY else {**kept, "…": f"[{len(args) - MANY} more, cleared]"}


def _short(value: Any) -> Any:
    if value is None or isinstance(value, bool | int | float):
        return value
    text = value if isinstance(value, str) else arguments(value, 10**9)
    if len(text) <= LONG or text.endswith(" characters, cleared]"):
        return value
    return f"[{len(text):,} characters, cleared]"


def _joined(content: Any, more: str) -> Any:
    if isinstance(content, list):
        return [*content, {"type": "text", "text": more}]
    return f"{content}\n{more}".strip()


def _names_an_artifact(line: str) -> bool:
    return line.startswith("[") and " is artifact " in line and line.endswith("]")
