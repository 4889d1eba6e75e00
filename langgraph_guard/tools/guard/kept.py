"""The outcome of a call as text that an outbox keeps, and back."""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Mapping
from typing import Any, Final

from langchain_core.messages import ToolMessage
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.types import Command

from langgraph_guard.tools.guard.answer import Answer, answer
from langgraph_guard.tools.guard.call import GuardedCall
from langgraph_guard.tools.results.result import ToolResult

LONGEST: Final = 1_000_000
"""Characters of a result that is kept whole."""

NOT_KEPT: Final = "{name} was called before with this id, and it took effect. Its result was not kept."

FORM: Final = "kept.1"
"""What the text of a result begins with. Any other text is a person's, who resolved an execution in their own words."""

_serde: Final = JsonPlusSerializer(allowed_msgpack_modules=None)


def dump(found: Answer) -> str:
    """Empty for what cannot be kept: that it happened is known all the same."""
    try:
        kind, data = _serde.dumps_typed(found.output)
    except Exception:  # whatever a tool put into its result
        return ""
    text = f"{FORM}:{kind}:{b64encode(data).decode()}"
    return text if len(text) <= LONGEST else ""


def load(call: GuardedCall, text: str) -> Answer:
    if (output := _output(text)) is not None:
        return Answer(output)
    return answer(call, _in_words(text, call.name))


def told(text: str, id: str, name: str) -> ToolMessage:
    """The answer to a call, where nothing else of what its tool gave back is wanted."""
    return _message_in(_output(text), id) or _in_words(text, name).to_message(id, name)


def _in_words(text: str, name: str) -> ToolResult:
    """What a person wrote of it; or that nothing is known but that it happened."""
    return ToolResult.success((text if not text.startswith(f"{FORM}:") else "") or NOT_KEPT.format(name=name))


def _output(text: str) -> Any:
    """What the tool gave back; `None` for anything else."""
    form, _, rest = text.partition(":")
    if form != FORM:
        return None
    kind, _, data = rest.partition(":")
    try:
        output = _serde.loads_typed((kind, b64decode(data)))
    except Exception:  # whoever else may write to the store: a call that was made is answered all the same
        return None
    return output if _is_output(output) else None


def _message_in(found: Any, id: str) -> ToolMessage | None:
    match found:
        case ToolMessage(tool_call_id=of):
            return found if of == id else None
        case Command(update=update):
            return _message_in(update, id)
        case Mapping():
            return _message_in(list(found.values()), id)
        case list():
            return next((said for each in found if (said := _message_in(each, id)) is not None), None)
        case _:
            return None


def _is_output(found: Any) -> bool:
    """Whether it is what a tools node takes."""
    many = found if isinstance(found, list) else [found]
    return bool(many) and all(isinstance(each, ToolMessage | Command) for each in many)
