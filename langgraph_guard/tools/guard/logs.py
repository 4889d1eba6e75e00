"""The fields that a contract wants in the log of its tool: one line at INFO for each call."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any, Final

from langgraph_guard.tools.guard.answer import Answer
from langgraph_guard.tools.guard.call import GuardedCall

_log = logging.getLogger(__name__)

FIELDS: Final[Mapping[str, Callable[[GuardedCall, Answer], Any]]] = {
    "tool.name": lambda call, _: call.name,
    "tool.owner": lambda call, _: call.contract.owner if call.contract else "",
    "tool.status": lambda _, found: "error" if found.failed else "success",
    "tool.error_type": lambda _, found: found.result.error_type if found.result else None,
    "retry_safe": lambda _, found: bool(found.result and found.result.retry_safe),
    "retry_after": lambda _, found: found.result.retry_after if found.result else None,
    "attempts": lambda _, found: found.attempts,
    "latency_ms": lambda _, found: round(found.seconds * 1_000),
}
"""What the guard knows of a call. Other names in a contract's `logs` are for other readers of it."""


def log(call: GuardedCall, found: Answer) -> None:
    if call.contract is None or not call.contract.logs or not _log.isEnabledFor(logging.INFO):
        return
    fields = {name: FIELDS[name](call, found) for name in call.contract.logs if name in FIELDS}
    _log.info(" ".join(f"{name}={value}" for name, value in fields.items()), extra={"tool_call": fields})
