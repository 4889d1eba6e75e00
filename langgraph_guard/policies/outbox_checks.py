"""What an outbox refuses before it looks: a `ConfigError` that names the field, the same on every backend."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from langgraph_guard.errors import ConfigError
from langgraph_guard.policies.approval.checks import (
    LARGEST,
    LARGEST_PAGE,
    LONGEST_CONTENT,
    check_bool,
    check_int,
    check_seconds,
    check_text,
)
from langgraph_guard.policies.outbox import (
    Claim,
    Done,
    Doubts,
    EffectKey,
    Extend,
    Failed,
    LookUp,
    OutboxCommand,
    Resolve,
)

LONGEST_REASON: Final = 1_000
"""Characters of how somebody knows. It stands in the record, which is kept for long."""

_PLACE: Final = re.compile(r"([0-9]{16}\.[0-9]{9} [0-9a-f]{32})?")


def check(command: OutboxCommand) -> None:
    """Raise `ConfigError` for what is no command: nothing was written then."""
    find = _CHECKS.get(type(command))
    if find is None:
        raise ConfigError("command", f"must be one of an outbox, is a {type(command).__name__}")
    if not isinstance(command, Doubts):
        _key(command.key)
    find(command)


def _key(key: object) -> None:
    if not isinstance(key, EffectKey):
        raise ConfigError("key", f"must be an EffectKey, is a {type(key).__name__}")
    for field in ("tenant", "thread", "call_id"):
        check_text(field, getattr(key, field))
    check_text("digest", key.digest, least=1)


def _claim(command: Claim) -> None:
    check_text("owner", command.owner, least=1)
    check_seconds("lease", command.lease)
    check_text("approval", command.approval)
    check_bool("required", command.required)


def _fence(command: Done | Failed | Extend) -> None:
    check_int("fence", command.fence, 0, LARGEST)


def _done(command: Done) -> None:
    _fence(command)
    check_text("result", command.result, most=LONGEST_CONTENT)


def _failed(command: Failed) -> None:
    _fence(command)
    check_bool("happened", command.happened)


def _extend(command: Extend) -> None:
    _fence(command)
    check_seconds("lease", command.lease)


def _resolve(command: Resolve) -> None:
    check_text("by", command.by, least=1)
    if command.result is not None:
        check_text("result", command.result, most=LONGEST_CONTENT)
    check_text("reason", command.reason, most=LONGEST_REASON)


def _look_up(command: LookUp) -> None:
    """Its key is all it has."""


def _doubts(command: Doubts) -> None:
    check_text("tenant", command.tenant)
    check_text("after", command.after)
    if _PLACE.fullmatch(command.after) is None:
        raise ConfigError("after", "must be the place of a doubt, or empty")
    check_int("count", command.count, 1, LARGEST_PAGE)


_CHECKS: Final[Mapping[type, Callable[[Any], None]]] = {
    Claim: _claim,
    Done: _done,
    Failed: _failed,
    Extend: _extend,
    Resolve: _resolve,
    LookUp: _look_up,
    Doubts: _doubts,
}
