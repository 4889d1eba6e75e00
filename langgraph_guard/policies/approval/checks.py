"""What an approval desk refuses before it looks: a `ConfigError` that names the field, the same on every backend."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from langgraph_guard.errors import ConfigError
from langgraph_guard.policies.approval.commands import (
    Decide,
    DeskCommand,
    Look,
    Pending,
    Request,
    Sweep,
    Trail,
    Withdraw,
)
from langgraph_guard.policies.approval.rules import DECISIONS, EFFECTS, LONGEST_TTL, Requirement

LONGEST_NAME: Final = 8_192
"""Characters of an id, of a thread, of whoever decides."""

LONGEST_TEXT: Final = 100_000
"""Characters of what somebody says."""

LONGEST_CONTENT: Final = 16_000_000
"""Characters of arguments, and of results. Some stores take no more in one piece."""

MOST_NAMES: Final = 1_000
"""Reviewers, roles or ids in one command."""

LARGEST_PAGE: Final = 10_000
"""Items that one page may have."""

LARGEST: Final = 2**53 - 1
"""The largest whole number that every store keeps exactly."""


def check(command: DeskCommand) -> None:
    """Raise `ConfigError` for what is no command: nothing was written then."""
    find = _CHECKS.get(type(command))
    if find is None:
        raise ConfigError("command", f"must be one of a desk, is a {type(command).__name__}")
    find(command)


# Parts, which the outbox has too


def check_text(field: str, text: object, *, least: int = 0, most: int = LONGEST_NAME) -> None:
    if not isinstance(text, str):
        raise ConfigError(field, f"must be a str, is a {type(text).__name__}")
    if not least <= len(text) <= most:
        raise ConfigError(field, f"must have {least} to {most} characters, has {len(text)}")
    if not text.isascii():
        _check_encodes(field, text)


def check_names(field: str, names: object) -> None:
    if not isinstance(names, tuple):
        raise ConfigError(field, f"must be a tuple, is a {type(names).__name__}")
    if len(names) > MOST_NAMES:
        raise ConfigError(field, f"may have {MOST_NAMES} names, has {len(names)}")
    for each in names:
        check_text(field, each)


def check_int(field: str, number: object, least: int, most: int) -> None:
    if type(number) is not int:
        raise ConfigError(field, f"must be an int, is a {type(number).__name__}")
    if not least <= number <= most:
        raise ConfigError(field, f"must be from {least} to {most}")


def check_seconds(field: str, seconds: object) -> None:
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)):
        raise ConfigError(field, f"must be a number of seconds, is a {type(seconds).__name__}")
    if not 0 < seconds <= LONGEST_TTL:
        raise ConfigError(field, f"must be more than 0 seconds, and at most {LONGEST_TTL:.0f}")


def check_bool(field: str, value: object) -> None:
    if not isinstance(value, bool):
        raise ConfigError(field, f"must be a bool, is a {type(value).__name__}")


def _check_encodes(field: str, text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ConfigError(field, "has half of a surrogate pair in it, which is no character") from error


# Commands


def _request(command: Request) -> None:
    for field in ("id", "tool", "digest"):
        check_text(field, getattr(command, field), least=1)
    for field in ("tenant", "thread", "ns", "call_id", "requested_by"):
        check_text(field, getattr(command, field))
    check_text("args", command.args, most=LONGEST_CONTENT)
    check_text("reason", command.reason, most=LONGEST_TEXT)
    if command.effect not in EFFECTS:
        raise ConfigError("effect", f"must be one of {', '.join(EFFECTS)}")
    if command.requirement is not None:
        _requirement(command.requirement)


def _requirement(needed: object) -> None:
    if not isinstance(needed, Requirement):
        raise ConfigError("requirement", f"must be a Requirement, is a {type(needed).__name__}")
    for field in ("allowed_decisions", "reviewers", "roles"):
        check_names(field, getattr(needed, field))
    if not needed.allowed_decisions or not set(needed.allowed_decisions) <= set(DECISIONS):
        raise ConfigError("allowed_decisions", f"must be some of {', '.join(DECISIONS)}")
    check_int("quorum", needed.quorum, 1, MOST_NAMES)
    if needed.ttl is not None:
        check_seconds("ttl", needed.ttl)
    check_bool("separation_of_duties", needed.separation_of_duties)
    check_text("description", needed.description, most=LONGEST_TEXT)


def _decide(command: Decide) -> None:
    check_text("id", command.id, least=1)
    for field in ("tenant", "by", "digest", "new_digest", "source"):
        check_text(field, getattr(command, field))
    if command.type not in DECISIONS:
        raise ConfigError("type", f"must be one of {', '.join(DECISIONS)}")
    check_names("roles", command.roles)
    check_text("message", command.message, most=LONGEST_TEXT)
    check_text("args", command.args, most=LONGEST_CONTENT)


def _look(command: Look) -> None:
    check_text("tenant", command.tenant)
    check_names("ids", command.ids)


def _withdraw(command: Withdraw) -> None:
    check_text("tenant", command.tenant)
    check_text("id", command.id, least=1)


def _pending(command: Pending) -> None:
    check_text("tenant", command.tenant)
    if command.thread is not None:
        check_text("thread", command.thread)
    check_text("after", command.after)
    check_int("count", command.count, 1, LARGEST_PAGE)


def _sweep(command: Sweep) -> None:
    check_text("tenant", command.tenant)


def _trail(command: Trail) -> None:
    check_text("tenant", command.tenant)
    check_int("after", command.after, 0, LARGEST)
    check_int("count", command.count, 1, LARGEST_PAGE)


_CHECKS: Final[Mapping[type, Callable[[Any], None]]] = {
    Request: _request,
    Decide: _decide,
    Look: _look,
    Withdraw: _withdraw,
    Pending: _pending,
    Sweep: _sweep,
    Trail: _trail,
}
