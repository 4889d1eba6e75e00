"""How big messages are, for the model that is going to read them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

from langchain_core.messages import BaseMessage, HumanMessage

from langgraph_guard.tokens import PromptCounter, TokenCounter


class Sizes:
    """Counts of one model's tokens. `tools`: what it is offered, whose schemas it reads as well."""

    def __init__(self, count: PromptCounter | None, model: str | None, tools: Sequence[Any]) -> None:
        self._counter = TokenCounter(model) if count is None else count
        self._model = model
        self._tools = tools
        # Of its own: to count a message by itself must not push conversations out of the other's memory.
        self._single = _another(self._counter) if isinstance(self._counter, TokenCounter) else self._counter

    @cached_property
    def _around(self) -> int:
        """What a prompt has beside its messages, however many: a count of two has it once, two counts have it twice."""
        probe = HumanMessage("a")
        one, both = (self._single(messages, (), model=self._model) for messages in ([probe], [probe, probe]))
        return 2 * one - both

    async def ready(self) -> None:
        """To be awaited before anything is counted in an event loop."""
        if isinstance(self._counter, TokenCounter):
            await self._counter.ready(self._model)

    def estimate(self, messages: Sequence[BaseMessage]) -> int:
        """What the next call is going to read: knows what the provider last reported, where the counter does."""
        if isinstance(self._counter, TokenCounter):
            return self._counter.estimate(messages, self._tools).total
        return self.total(messages)

    def total(self, messages: Sequence[BaseMessage]) -> int:
        """What can be seen of a prompt."""
        return self._counter(messages, self._tools, model=self._model)

    def one(self, message: BaseMessage) -> int:
        """What a message adds to a prompt."""
        return self._single([message], (), model=self._model) - self._around

    def text(self, text: str) -> int:
        return self.one(HumanMessage(text))


def _another(counter: TokenCounter) -> TokenCounter:
    return TokenCounter(counter.model, allow_download=counter.allow_download)
