"""The summarizer's model: asked quietly, within its time, through a breaker, and never at the run's expense."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

from langchain_core.language_models import BaseChatModel
from langchain_core.runnables import Runnable, RunnableConfig
from langgraph.constants import TAG_NOSTREAM

from langgraph_guard.errors import BudgetExceeded, ConfigError
from langgraph_guard.nodes.around import replace_models
from langgraph_guard.nodes.model import TIMEOUT_FIELDS, MeteredModel, meters_in, model_ref
from langgraph_guard.nodes.summarization.memo import SOURCE
from langgraph_guard.nodes.summarization.writer import Ask
from langgraph_guard.policies.compaction.patches import Patch
from langgraph_guard.tools.breaker import CircuitBreaker, Refused

QUIET: Final = (TAG_NOSTREAM, "langsmith:nostream")
"""Tags that keep what a model says from the user's stream."""


class Summarizer:
    """`model` as the node asks it. `name`: of its circuit; `window`: tokens that it can read, if it says so."""

    def __init__(self, model: Runnable[Any, Any], breaker: CircuitBreaker, timeout: float | None) -> None:
        found = chat_models(model)
        self._model = model
        self._breaker = breaker
        self._timeout = timeout
        self._meters = meters_in(model)
        self.window = min((each for each in map(profile_of, found) if each), default=None)
        self.name = next((name for each in found if (name := name_of(each))), "summarizer")
        self._kwargs = {"timeout": timeout} if timeout is not None and _all_take_timeouts(model, found) else {}

    def ask(self, ask: Ask, config: RunnableConfig) -> list[Patch]:
        """What `ask.read` makes of the answer. An answer that is of no use counts as a failure of the model's."""
        with self._forgiven(config):
            return _heard(
                self._breaker.call(
                    self.name, lambda: ask.read(self._model.invoke(ask.messages, quiet(config), **self._kwargs))
                )
            )

    async def aask(self, ask: Ask, config: RunnableConfig) -> list[Patch]:
        async def call() -> list[Patch]:
            async with asyncio.timeout(self._timeout):
                return ask.read(await self._model.ainvoke(ask.messages, quiet(config), **self._kwargs))

        with self._forgiven(config):
            return _heard(await self._breaker.acall(self.name, call))

    @contextmanager
    def _forgiven(self, config: RunnableConfig) -> Iterator[None]:
        """A denial of this call stands for nothing else: there is a summary without a model, so the run goes on, and
        what the agent's own model may do is decided when it asks."""
        places = [each for meter in self._meters for each in (meter.run_of(config), meter.scope()) if each is not None]
        open_before = [each for each in places if each.denied is None]
        try:
            yield
        except BudgetExceeded as error:
            for each in open_before:
                if each.denied is not None and each.denied.args == error.args:
                    each.denied = None
            raise


def quiet(config: RunnableConfig) -> RunnableConfig:
    """`config` for a call whose answer is not for the user. Its callbacks stay, so the call shows in traces."""
    tags = [*(config.get("tags") or ()), *QUIET]
    metadata = {**(config.get("metadata") or {}), "lc_source": SOURCE}
    return {**config, "tags": tags, "metadata": metadata, "run_name": "summarize"}


def chat_models(model: Any) -> list[Any]:
    """The chat models that `model` is built around. Raises `ConfigError` when there is none."""
    found: list[Any] = []

    def note(each: Any) -> Any:
        found.append(each)
        return each

    replace_models(model, note, MeteredModel)
    return found


def profile_of(model: Any) -> int | None:
    """The tokens that a chat model can read, as LangChain tells it."""
    profile = getattr(model, "profile", None)
    said = profile.get("max_input_tokens") if isinstance(profile, dict) else None
    return said if type(said) is int and said > 0 else None


def name_of(model: Any) -> str:
    return model_ref(model.llm if isinstance(model, MeteredModel) else model, {}).name


def checked(model: object) -> None:
    if not isinstance(model, Runnable):
        raise ConfigError("model", f"must be a chat model, or built around one; is a {type(model).__name__}")
    chat_models(model)


def _heard(answer: Any) -> list[Patch]:
    if isinstance(answer, Refused):
        raise answer.error()
    found: list[Patch] = answer
    return found


def _all_take_timeouts(model: Any, found: Sequence[Any]) -> bool:
    """Whether a time-out for one call reaches the client. Sequences pass arguments to their first step only."""
    while not isinstance(model, BaseChatModel | MeteredModel):
        inner = getattr(model, "bound", None)
        if inner is None:
            return False
        model = inner
    return all(
        each.takes_timeout
        if isinstance(each, MeteredModel)
        else any(name in type(each).model_fields for name in TIMEOUT_FIELDS)
        for each in found
    )
