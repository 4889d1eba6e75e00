"""The outcome of a call as text that an outbox keeps, and back."""

from __future__ import annotations

from base64 import b64decode, b64encode
from typing import Final

from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

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
    return Answer(_serde.loads_typed((kind, b64decode(data))))
