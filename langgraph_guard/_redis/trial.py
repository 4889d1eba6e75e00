"""Commands tried for real, on scratch keys: which of them a server refuses, and why.

They are one transaction, so nobody sees the scratch keys. When that is refused, each is tried by itself.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, TypeAlias, TypeVar

from langgraph_guard._redis import errors
from langgraph_guard._redis.request import Batch, Command
from langgraph_guard._redis.scripts import Script
from langgraph_guard.errors import StoreError, StoreRefused

Result = TypeVar("Result")
RedisFlow: TypeAlias = Generator[Batch, list[Any], Result]

NOTHING: Final = Script("nothing", "return 1")
"""A script that needs no right but to be run."""

A_MINUTE: Final = 60_000
"""Milliseconds after which scratch keys go by themselves, should their removal be what is refused."""


@dataclass(frozen=True, slots=True)
class Refusals:
    """What of it the server refuses. Names are an ACL's: `zadd`, `script|load`."""

    forbidden: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    keys: bool = False
    """Whether the keys themselves are out of bounds."""

    def __bool__(self) -> bool:
        return bool(self.forbidden or self.unknown or self.keys)


def refusals(
    commands: Batch, harmless: Command, clearing: Sequence[Command], alone: Sequence[Command] = ()
) -> RedisFlow[Refusals]:
    """What of `commands` is refused: they are in an order in which each finds what it needs, and leave nothing.

    `harmless`: one that may be said twice. `clearing`: what removes the scratch keys when not all of it was done.
    `alone`: commands that fail in any case; only who may use them is told why.
    """
    refused: list[Refusal] = []
    try:
        yield commands
    except StoreRefused as error:
        if not is_about_permission(error):
            raise
        refused = yield from _one_by_one(commands)
        refused += yield from _transactions(harmless)
    refused += yield from _one_by_one(alone)
    if refused:
        yield from clear(clearing)
    return _sorted_out(refused)


def answers(scripts: Batch, clearing: Sequence[Command]) -> RedisFlow[list[Any] | None]:
    """What `scripts` answer on scratch keys; `None` when one cannot do its work here."""
    try:
        return (yield scripts)
    except StoreError as error:
        yield from clear(clearing)
        if isinstance(error, StoreRefused) and _code(error) not in _IN_THE_WAY:
            return None
        raise


def clear(clearing: Sequence[Command]) -> RedisFlow[None]:
    for command in clearing:
        try:
            yield [command]
        except StoreError:
            continue  # what was refused a moment ago: the keys are empty, or expire


# Piece by piece


def _one_by_one(commands: Sequence[Command]) -> RedisFlow[list[Refusal]]:
    refused: list[Refusal] = []
    for command in commands:
        name = _acl_name(command)
        if name == "evalsha" and any(each.name == "script|load" for each in refused):
            continue  # it would be refused for the same reason
        try:
            yield [command]
        except StoreRefused as error:
            if is_about_permission(error):
                refused.append(Refusal(name, error))
            elif _code(error) in _IN_THE_WAY:
                raise
    return refused


def _transactions(harmless: Command) -> RedisFlow[list[Refusal]]:
    """Whether several commands may be one."""
    try:
        yield [harmless, harmless]
    except StoreRefused as error:
        return [Refusal(name, error) for name in ("multi", "exec") if f"'{name}'" in _said(error).lower()]
    return []


def _acl_name(command: Command) -> str:
    name, *arguments = command
    if isinstance(name, Script):
        return "evalsha"
    return f"{name}|{arguments[0]}".lower() if name == "SCRIPT" else str(name).lower()


# Why

_IN_THE_WAY: Final = ("OOM", "READONLY", "MISCONF", "NOREPLICAS")
"""Whatever else a command says is of no interest: the one that should have prepared things was refused."""


class Refusal(NamedTuple):
    """A command that was refused."""

    name: str
    error: StoreRefused


def _sorted_out(refused: Sequence[Refusal]) -> Refusals:
    of_keys = [each for each in refused if re.search(r"\bkeys?\b", _said(each.error))]
    others = [each for each in refused if each not in of_keys]
    unknown = dict.fromkeys(each.name for each in others if _code(each.error) == "UNKNOWN")
    forbidden = dict.fromkeys(each.name for each in others if each.name not in unknown)
    return Refusals(tuple(forbidden), tuple(unknown), keys=bool(of_keys))


def is_about_permission(error: StoreRefused) -> bool:
    return _code(error) in ("NOPERM", "UNKNOWN")


def _code(error: StoreRefused) -> str:
    # EXEC, when it is what is forbidden: "EXECABORT Transaction discarded because of: NOPERM …"
    return "NOPERM" if "NOPERM" in _said(error) else errors.code(error.__cause__ or error)


def _said(error: StoreRefused) -> str:
    return str(error.__cause__ or "")
