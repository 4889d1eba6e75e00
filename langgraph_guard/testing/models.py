"""A chat model that answers from a script: plain, async and streamed, with usage, delays and failures."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.language_models.base import LangSmithParams
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable
from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import ConfigDict, Field

from langgraph_guard.errors import ConfigError
from langgraph_guard.testing.answers import Author, chunks, compose, count_input
from langgraph_guard.testing.replies import AnyReply, Failure
from langgraph_guard.testing.script import AtTheEnd, Call, Script, Writer


class ScriptedChatModel(BaseChatModel):
    """A chat model whose replies are `script`: a list, or a callable that reads the messages and returns a reply.

    A reply is a text, an `AIMessage`, a `Reply`, or an exception to raise. Behind the last one: `ScriptExhausted`,
    unless `cycle` (from the start again) or `repeat_last`. Copies and bindings share one script and one record.
    Ids count up behind `id_prefix`, which is random unless given: give it where a test compares ids.
    `max_tokens` (here or per call) cuts a longer answer as providers do: `finish_reason="length"`, no tool calls.
    A `timeout` (here or per call) shorter than a reply's delay raises `TimeoutError` after that long; `clock` has
    `sleep` and `asleep`.
    """

    model_config = ConfigDict(extra="forbid")  # `model=` for `model_name=` must not pass unseen

    model_name: str = "gpt-4o-mini"
    provider: str = "openai"
    max_tokens: int | None = None
    timeout: float | None = None
    # Fields, not private attributes: LangChain rebuilds a configured model from its fields.
    clock: Any = Field(default=None, exclude=True, repr=False)
    script: Any = Field(exclude=True, repr=False)

    def __init__(
        self,
        script: Sequence[AnyReply] | Writer | Script,
        *,
        cycle: bool = False,
        repeat_last: bool = False,
        id_prefix: str | None = None,
        **fields: Any,
    ) -> None:
        if not isinstance(script, Script):
            script = Script(script, _at_the_end(cycle, repeat_last), id_prefix)
        _check_cap(fields.get("max_tokens"))
        # A dict, because type checkers see only the fields of the base class here.
        super().__init__(**{"script": script, **fields})

    @property
    def calls(self) -> list[Call]:
        """Every call so far, in order, also those that failed."""
        recorded: list[Call] = self.script.calls
        return recorded

    @property
    def call_count(self) -> int:
        return len(self.calls)

    def bind_tools(
        self,
        tools: Sequence[dict[str, Any] | type | Callable[..., Any] | BaseTool],
        *,
        tool_choice: Any = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """Offer `tools`, as a provider gets them. The script decides what is called, also what was not offered."""
        if tool_choice is not None:
            kwargs["tool_choice"] = tool_choice
        return self.bind(tools=[convert_to_openai_tool(tool) for tool in tools], **kwargs)

    def get_num_tokens_from_messages(self, messages: list[BaseMessage], tools: Sequence[Any] | None = None) -> int:
        """The count that replies report, so that nothing downloads a tokenizer."""
        return count_input(messages, [convert_to_openai_tool(tool) for tool in tools or ()])

    # --- what BaseChatModel calls ---

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        exchange = self._ask(messages, stop, kwargs)
        self._wait(exchange.delay)
        return exchange.result()

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        exchange = self._ask(messages, stop, kwargs)
        await self._await(exchange.delay)
        return exchange.result()

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        exchange = self._ask(messages, stop, kwargs)
        self._wait(exchange.delay)
        yield from exchange.stream()

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        exchange = self._ask(messages, stop, kwargs)
        await self._await(exchange.delay)
        for chunk in exchange.stream():
            yield chunk
            await asyncio.sleep(0)  # a network would let other tasks in between two chunks

    def _ask(self, messages: list[BaseMessage], stop: list[str] | None, kwargs: dict[str, Any]) -> _Exchange:
        given = {"max_tokens": self.max_tokens, "timeout": self.timeout, "stop": stop, **kwargs}
        call, reply = self.script.draw(messages, {key: value for key, value in given.items() if value is not None})
        _check_cap(call.max_tokens)
        message = compose(reply, call, Author(self.model_name, self.provider, self.script.prefix))
        if reply.delay > (patience := _patience(call)):
            return _Exchange(patience, message, TimeoutError(f"no answer within {patience} s"))
        return _Exchange(reply.delay, message, reply.error, reply.error_after or 0)

    def _wait(self, seconds: float) -> None:
        if seconds > 0:
            (self.clock or time).sleep(seconds)

    async def _await(self, seconds: float) -> None:
        # Also without a delay the loop gets its turn, as it would during any request.
        await (self.clock.asleep(seconds) if self.clock and seconds > 0 else asyncio.sleep(seconds))

    # --- who it says it is ---

    @property
    def _llm_type(self) -> str:
        return "scripted-chat"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {"model": self.model_name, "model_name": self.model_name, "max_tokens": self.max_tokens}

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        params = super()._get_ls_params(stop=stop, **kwargs)
        params["ls_provider"] = self.provider
        return params


@dataclass(frozen=True)
class _Exchange:
    """One call's course: when it is answered, with what, and which error ends it behind how many chunks."""

    delay: float
    message: AIMessage
    error: Failure | None = None
    error_after: int = 0

    def result(self) -> ChatResult:
        self._raise()
        return ChatResult(generations=[ChatGeneration(message=self.message, generation_info=self._info())])

    def stream(self) -> Iterator[ChatGenerationChunk]:
        for chunk in islice(chunks(self.message), self.error_after if self.error else None):
            yield self._generation(chunk)
        self._raise()

    def _generation(self, chunk: AIMessageChunk) -> ChatGenerationChunk:
        return ChatGenerationChunk(message=chunk, generation_info=self._info() if chunk.chunk_position else None)

    def _info(self) -> dict[str, Any]:
        return {"finish_reason": self.message.response_metadata["finish_reason"]}

    def _raise(self) -> None:
        if isinstance(self.error, BaseException):
            # A repeated error must not collect the tracebacks of all its raises.
            raise self.error.with_traceback(None)
        if self.error:
            raise self.error()


def _at_the_end(cycle: bool, repeat_last: bool) -> AtTheEnd:
    if cycle and repeat_last:
        raise ConfigError("cycle", "choose one of cycle and repeat_last")
    return "cycle" if cycle else "repeat_last" if repeat_last else "fail"


def _check_cap(cap: object) -> None:
    if cap is not None and (isinstance(cap, bool) or not isinstance(cap, int) or cap < 1):
        raise ConfigError("max_tokens", f"an integer from 1 up is needed, not {cap!r}")


def _patience(call: Call) -> float:
    timeout = call.kwargs.get("timeout")
    return timeout if isinstance(timeout, (int, float)) else math.inf
