"""What a model should do after a tool call that failed: one imperative sentence for each kind of failure.

The sentence is what ends a loop. A model that reads "timeout" guesses; one that reads what to do next does it.
"""

from __future__ import annotations

import math
from typing import Final, Literal, get_args

ErrorType = Literal["transient", "permanent", "rate_limit", "validation", "timeout", "circuit_open", "denied"]
"""`transient` may be over soon; `permanent` will not be; `rate_limit` says: too many; `validation`: wrong arguments;
`timeout`: no answer came, so nothing is known; `circuit_open`: the call was not made; `denied`: it may not be made."""

ERROR_TYPES: Final[tuple[ErrorType, ...]] = get_args(ErrorType)

REPEATABLE: Final[frozenset[ErrorType]] = frozenset({"transient", "rate_limit", "timeout"})
"""The same call, made again, may succeed. These are `retry_safe` unless somebody who knows more says otherwise."""

WAITS: Final[frozenset[ErrorType]] = REPEATABLE | {"circuit_open", "denied"}
"""Waiting may help, so these may carry a `retry_after`."""

_LATER: Final[dict[ErrorType, str]] = {
    "rate_limit": "go on with something else, or tell the user that the service is busy.",
    "circuit_open": "answer without it, or say that it is unavailable.",
    "denied": "go on without it, or tell the user what stopped it.",
}

_UNSAFE: Final[dict[ErrorType, str]] = {
    "transient": "it may have taken effect. Tell the user that it failed and may or may not have been carried out.",
    "timeout": "it may have taken effect. Tell the user that no answer came, so its outcome is not known.",
    "rate_limit": "go on with something else, or tell the user that the service is busy.",
}

_ONCE_MORE: Final[dict[ErrorType, str]] = {
    "transient": "Call it once more with the same arguments; if that fails too, go on without it and say so.",
    "timeout": (
        "Do not take this for a result: call it once more with the same arguments; if that fails too, go on without it"
        " and say so."
    ),
    "rate_limit": "Do not call it again at once: go on with something else first.",
}

_NEVER: Final[dict[ErrorType, str]] = {
    "permanent": "Do not call it again with these arguments; go on without it, or tell the user.",
    "validation": "Correct the call as the message says, and make it once more; if you cannot, ask the user.",
    "circuit_open": "Do not call it; answer without it, or say that it is unavailable.",
    "denied": "Do not call it again; go on without it, or tell the user what stopped it.",
}


def next_step(error_type: ErrorType, retry_safe: bool, retry_after: float | None) -> str:
    """What to do next. Seconds are rounded up: a call that comes too early is refused again."""
    if error_type in REPEATABLE and not retry_safe:
        return f"Do not call it again with these arguments: {_UNSAFE[error_type]}"
    if retry_after:
        what = _LATER.get(error_type, "go on with something else until then, and never take this for a result.")
        return f"Do not call it before {math.ceil(retry_after)} s have passed; {what}"
    return _ONCE_MORE.get(error_type) or _NEVER[error_type]
