"""What a run did and what it cost, seen from outside: the guard is not asked, so both agents are measured alike."""

from __future__ import annotations

import time
from typing import Any

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import AIMessage
from langchain_core.outputs import LLMResult

from langgraph_guard.prices import PriceBook, Usage, price_book


class Watch(BaseCallbackHandler):
    """Counts model calls, tool calls and tokens, and prices each model call at its list price, in micro-USD."""

    raise_error = True

    def __init__(self) -> None:
        self.costs: tuple[int, ...] = ()
        self.tokens = 0
        self.tool_calls = 0
        self.spent = 0
        self._prices = price_book(None)

    @property
    def model_calls(self) -> int:
        return len(self.costs)

    def on_llm_end(self, response: LLMResult, **kwargs: Any) -> None:
        message: Any = getattr(response.generations[0][0], "message", None)
        cost, tokens = priced(message, self._prices)
        self.costs += (cost,)
        self.tokens += tokens
        self.spent += cost

    def on_tool_end(self, output: Any, **kwargs: Any) -> None:
        self.tool_calls += 1

    def on_tool_error(self, error: BaseException, **kwargs: Any) -> None:
        self.tool_calls += 1


def priced(message: AIMessage, prices: PriceBook) -> tuple[int, int]:
    """What an answer cost in micro-USD, and its tokens."""
    usage = Usage.from_metadata(message.usage_metadata)
    said = message.response_metadata
    rates = prices.rates(said["model_name"], said["model_provider"], at=time.time())
    assert usage is not None
    assert rates is not None, "both models of the demo have a list price"
    return rates.cost(usage), usage.total_tokens


def projected(costs: tuple[int, ...], calls: int) -> int:
    """The cost of `calls` calls in micro-USD, when the price of a call goes on rising as over the last half of `costs`.

    It does in a conversation that grows by the same text with each call.
    """
    seen = len(costs)
    if calls <= seen:
        return sum(costs[:calls])
    half = costs[seen // 2 :]
    rise = (half[-1] - half[0]) / (len(half) - 1) if len(half) > 1 else 0.0
    more = calls - seen
    return round(sum(costs) + more * costs[-1] + rise * more * (more + 1) / 2)
