"""The summarizers that are compared, each as its documentation says to use it, with one limit, trigger and counter.

LangChain's middleware is measured twice: with what it does by itself (the newest 20 messages stay, 4,000 tokens reach
the summarizer), and with settings that let it forget least (half of the limit stays, nothing is trimmed).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from langchain.agents.middleware import SummarizationMiddleware
from langchain_core.messages import BaseMessage
from langgraph.graph.message import add_messages

from benchmarks.recall_summarizer import Summarizer
from langgraph_guard import SummarizationNode, TokenCounter

LIMIT: Final = 8_192
TRIGGER, TARGET = 0.8, 0.5
OURS, LANGCHAIN, TUNED, LANGMEM = "ours", "LangChain", "LangChain, tuned", "langmem"

Prompt = Callable[[list[BaseMessage]], list[BaseMessage]]
"""The history so far in, what the model is to read out. Keeps what it must between two calls."""


@dataclass(frozen=True)
class Contender:
    """How a prompt comes about, and which of its messages is the summary."""

    prompt: Prompt
    is_summary: Callable[[BaseMessage], bool]


def ours(summarizer: Summarizer, count: TokenCounter) -> Contender:
    node = SummarizationNode(
        summarizer.model(),
        max_tokens=LIMIT,
        trigger=TRIGGER,
        target=TARGET,
        summary_tokens=summarizer.capacity,
        count=count,
    )
    return Contender(_replacing(node.invoke), lambda each: "guard_summary" in each.additional_kwargs)


def langchain(summarizer: Summarizer, count: TokenCounter, **settings: Any) -> Contender:
    middleware: Any = SummarizationMiddleware(
        summarizer.model(), trigger=("tokens", int(LIMIT * TRIGGER)), token_counter=count, **settings
    )

    def visit(state: dict[str, Any]) -> dict[str, Any]:
        return middleware.before_model(state, None) or {}

    return Contender(_replacing(visit), lambda each: each.additional_kwargs.get("lc_source") == "summarization")


def tuned(summarizer: Summarizer, count: TokenCounter) -> Contender:
    kept = int(LIMIT * TARGET) - summarizer.capacity
    return langchain(summarizer, count, keep=("tokens", kept), trim_tokens_to_summarize=None)


def langmem(summarizer: Summarizer, count: TokenCounter) -> Contender:
    """Its history grows on, and a record beside it says what was summarized."""
    from langmem.short_term import SummarizationNode as Node

    node: Any = Node(
        model=summarizer.model(),
        max_tokens=LIMIT,
        max_tokens_before_summary=int(LIMIT * TRIGGER),
        max_summary_tokens=summarizer.capacity,
        token_counter=count,
    )
    history: list[BaseMessage] = []
    context: dict[str, Any] = {}

    def prompt(new: list[BaseMessage]) -> list[BaseMessage]:
        history.extend(new)
        update = node.invoke({"messages": list(history), "context": dict(context)})
        context.update(update.get("context") or {})
        return list(update["summarized_messages"])

    return Contender(prompt, lambda each: str(each.content).startswith("Summary of the conversation so far"))


CONTENDERS: Final[dict[str, Callable[[Summarizer, TokenCounter], Contender]]] = {
    OURS: ours,
    LANGCHAIN: langchain,
    TUNED: tuned,
    LANGMEM: langmem,
}


def _replacing(visit: Callable[[dict[str, Any]], dict[str, Any]]) -> Prompt:
    """For those who rewrite the history itself."""
    history: list[Any] = []

    def prompt(new: Sequence[BaseMessage]) -> list[BaseMessage]:
        history[:] = add_messages(history, list(new))  # type: ignore[arg-type]
        history[:] = add_messages(history, visit({"messages": list(history)}).get("messages", []))
        return list(history)

    return prompt
