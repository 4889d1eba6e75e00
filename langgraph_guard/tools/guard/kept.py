"""The outcome of a call as text that an outbox keeps, and back."""

from __future__ import annotations

from base64 import b64decode, b64encode
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
    form, _, rest = text.partition(":")
    if form != FORM:
        return answer(call, ToolResult.success(text or NOT_KEPT.format(name=call.name)))
    kind, _, data = rest.partition(":")
    try:
        output = _serde.loads_typed((kind, b64decode(data)))
    except Exception:  # whoever else may write to the store: a call that was made is answered all the same
        output = None
    if not _is_output(output):
        return answer(call, ToolResult.success(NOT_KEPT.format(name=call.name)))
    return Answer(output)


def _is_output(found: Any) -> bool:
    """Whether it is what a tools node takes."""
    many = found if isinstance(found, list) else [found]
    return bool(many) and all(isinstance(each, ToolMessage | Command) for each in many)
