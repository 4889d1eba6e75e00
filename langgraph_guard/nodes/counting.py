"""How large a prompt is: what to hold for a call, and what a look at the state says."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from inspect import signature

from langchain_core.messages import BaseMessage

from langgraph_guard.errors import ConfigError
from langgraph_guard.tokens import PromptCounter, TokenCounter


@dataclass(frozen=True, slots=True)
class PromptSize:
    """`to_hold`: tokens to reserve for a call to the model that is named. `to_read`: what any model would read.
    `ready`: to be awaited before either is called in an event loop."""

    to_hold: PromptCounter
    to_read: Callable[[Sequence[BaseMessage]], int]
    ready: Callable[[str | None], Awaitable[None]]


def prompt_size(count: PromptCounter | None) -> PromptSize:
    """The sizes that `count` tells, by default a `TokenCounter`. Raises `ConfigError` for what cannot be asked."""
    if count is None:
        count = TokenCounter()
    if isinstance(count, TokenCounter):
        # Called by itself it would not look at what the provider reported.
        return PromptSize(count.reserve, _estimated(count), count.ready)
    _check(count)
    return PromptSize(count, lambda messages: count(messages, (), model=None), _always)


async def _always(model: str | None) -> None:
    """A function of the user's is as ready as it will ever be."""


def _estimated(counter: TokenCounter) -> Callable[[Sequence[BaseMessage]], int]:
    return lambda messages: counter.estimate(messages).total


def _check(count: object) -> None:
    if not callable(count):
        raise ConfigError("count", f"must be a TokenCounter or a function, is a {type(count).__name__}")
    try:
        signature(count).bind([], (), model=None)
    except TypeError:
        raise ConfigError("count", "must take (messages, tools, *, model=…), as TokenCounter does") from None
    except ValueError:  # What is written in C may not tell.
        return
