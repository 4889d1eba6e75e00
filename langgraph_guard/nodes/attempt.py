"""One call of a metered model: reserved on entry, closed on exit, whatever happens in between."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Iterator, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Any

from langchain_core.language_models import LanguageModelInput
from langchain_core.messages import AIMessage, BaseMessage, convert_to_messages
from langchain_core.messages.ai import add_usage
from langchain_core.prompt_values import PromptValue
from langchain_core.runnables import RunnableConfig, ensure_config

from langgraph_guard.errors import InvalidAmount
from langgraph_guard.events import RESERVATIONS, listening
from langgraph_guard.flow import arun, run, to_the_end
from langgraph_guard.nodes.held import Held, call_of, metering
from langgraph_guard.nodes.metering import LedgerFlow
from langgraph_guard.nodes.pricing import ModelRef
from langgraph_guard.policies.calls import Call
from langgraph_guard.policies.outcomes import Outcome, outcome_of
from langgraph_guard.prices import Usage

if TYPE_CHECKING:
    from langgraph_guard.nodes.model import MeteredModel
    from langgraph_guard.nodes.retries import Retries


class Attempt:
    """A context manager, sync and async: the same flows."""

    closed = True

    def __init__(
        self,
        model: MeteredModel,
        input: LanguageModelInput,
        config: RunnableConfig | None,
        kwargs: dict[str, Any],
        retries: Retries,
    ) -> None:
        self.model = model
        self.retries = retries
        self.meter = model.meter
        self.config = ensure_config(config)
        self._given = config
        self.kwargs = kwargs
        self.held = Held(id := uuid.uuid4().hex, model.ref(kwargs), call=call_of(self.config.get("metadata"), id))
        self.finished = False
        self.deadline: float | None = None
        self._input = input
        self._usage: Any = None
        self._metadata: dict[str, Any] = {}
        self._ran: list[str] = []

    def __enter__(self) -> Attempt:
        try:
            run(self._open(), self.meter.backend.ledger.execute)
        except BaseException as error:
            self.__exit__(type(error), error, None)
            raise
        if self.held.timeout is not None:
            self.deadline = time.monotonic() + self.held.timeout
        return self

    def __exit__(self, kind: Any, error: BaseException | None, trace: TracebackType | None) -> None:
        run(self._close(error), self.meter.backend.ledger.execute)
        self._out_of_time(error)

    def __del__(self) -> None:
        """What a KeyboardInterrupt on the way to `__exit__` left open."""
        if not self.closed:
            run(self._close(KeyboardInterrupt()), self.meter.backend.ledger.execute)

    async def __aenter__(self) -> Attempt:
        try:
            await self.meter.size.ready(self.held.model.name or None)
            await arun(self._open(), self.meter.backend.ledger.aexecute)
        except BaseException as error:
            await self.__aexit__(type(error), error, None)
            raise
        if self.held.timeout is not None:
            self.deadline = asyncio.get_running_loop().time() + self.held.timeout
        return self

    async def __aexit__(self, kind: Any, error: BaseException | None, trace: TracebackType | None) -> None:
        ledger = self.meter.backend.ledger
        if ledger.instant:
            run(self._close(error), ledger.execute)
        else:
            await to_the_end(arun(self._close(error), ledger.aexecute))
        self._out_of_time(error)

    def _open(self) -> LedgerFlow:
        self.closed = False
        yield from self.meter.admit(self.held, self._call(), self.config)
        self.retries.within(self.held)
        if self.meter.limits_output:
            self.kwargs = self.model.capped(self.kwargs, self.held.cap)
        if self.held.timeout is not None and self.model.takes_timeout:
            own = self.model.own_timeout(self.kwargs)
            self.kwargs = {**self.kwargs}  # the next attempt starts from the user's own
            self.kwargs["timeout"] = self.held.timeout if own is None else min(own, self.held.timeout)

    def _close(self, error: BaseException | None) -> LedgerFlow:
        if self.held.cap is None:
            yield from self.meter.abandon(self.held)
        elif error is None or (isinstance(error, GeneratorExit) and self.finished):
            yield from self._settle()
        elif (outcome := outcome_of(error)) != "uncertain" and not self.retries.over:
            yield from self.meter.release(self.held, outcome)
        else:
            yield from self.meter.settle(self.held, None, "uncertain", self._ran)
        self.closed = True

    def _settle(self) -> LedgerFlow:
        if self._usage is not None and self._usage.get("total_cost") == 0:
            yield from self.meter.release(self.held, "cached")
            return
        self.held.answered_by = answered_by(self._metadata, self.held.model)
        usage = read_usage(self._usage)
        outcome: Outcome = "unmeasured" if usage is None else "answered"
        yield from self.meter.settle(self.held, usage, outcome, self._ran)
        if not self.model.landing and ended_at_cap(self._metadata, usage, self.held.cap):
            self.meter.cut(self.held, usage, self.config)

    def _out_of_time(self, error: BaseException | None) -> None:
        """A time-out because the turn's seconds ran out is the limit's doing, and says so."""
        if error is not None and "Timeout" in type(error).__name__:
            self.meter.check_time(self.config, self.model.landing, error)

    @property
    def told(self) -> RunnableConfig | None:
        """The config of the call; if anybody listens, with the reservation's id, after those of meters around it."""
        if not listening():
            return self._given
        metadata = self.config.get("metadata") or {}
        return {**self.config, "metadata": {**metadata, RESERVATIONS: [*metadata.get(RESERVATIONS, ()), self.held.id]}}

    # What the call costs

    def _call(self) -> Call:
        most = self.model.own_cap(self.kwargs)
        tools = self.kwargs.get("tools") or ()
        read = self.meter.size.to_hold(_messages(self._input), tools, model=self.held.model.name or None)
        least = min(most, max(self.model.min_output, self.model.thinks(self.kwargs) + 1))
        return Call(read, most, least, self.model.landing, self.model.choices(self.kwargs))

    def answer(self, message: AIMessage) -> AIMessage:
        self._usage = message.usage_metadata
        self._metadata = message.response_metadata
        self._ran = self.meter.pricing.ran(message)
        return message

    def chunk(self, chunk: AIMessage) -> AIMessage:
        self.retries.over = True
        if chunk.usage_metadata:
            self._usage = chunk.usage_metadata if self._usage is None else add_usage(self._usage, chunk.usage_metadata)
        self._metadata.update(chunk.response_metadata)
        self._ran += self.meter.pricing.ran(chunk)
        self.finished = self.finished or getattr(chunk, "chunk_position", None) == "last"
        return chunk

    # Inner meters of the same budget abstain while this one holds the reservation

    @contextmanager
    def holding(self) -> Iterator[None]:
        token = metering.set(metering.get() | {self.meter})
        try:
            yield
        finally:
            metering.reset(token)

    def next(self, chunks: Iterator[Any]) -> Any:
        if self.deadline is not None and time.monotonic() > self.deadline:
            raise TimeoutError  # the client's own time-out is for each chunk: a stream that drips would go on for ever
        with self.holding():
            chunk = next(chunks, None)
        run(self.meter.keep(self.held), self.meter.backend.ledger.execute)
        return chunk

    async def anext(self, chunks: AsyncIterator[Any]) -> Any:
        with self.holding():
            chunk = await self.in_time(anext(chunks, None))
        await arun(self.meter.keep(self.held), self.meter.backend.ledger.aexecute)
        return chunk

    async def in_time(self, work: Awaitable[Any]) -> Any:
        """The result of `work`, or `TimeoutError` when the seconds that are left run out first."""
        if self.deadline is None:
            return await work
        async with asyncio.timeout_at(self.deadline):
            return await work


def answered_by(metadata: dict[str, Any], asked: ModelRef) -> ModelRef:
    """Which model a response says it came from, at the provider that was asked: gateways answer in others' names."""
    name = metadata.get("model_name") or metadata.get("model") or asked.name
    return ModelRef(name, asked.provider or metadata.get("model_provider"), metadata.get("service_tier") or asked.tier)


def ended_at_cap(metadata: dict[str, Any], usage: Usage | None, cap: int | None) -> bool:
    """Whether an answer ended because its output limit did: the provider says so, or it is exactly that long."""
    said = {str(metadata.get(name)).lower() for name in ("finish_reason", "stop_reason", "done_reason")}
    said.add(str((metadata.get("incomplete_details") or {}).get("reason")))
    at_cap = usage is not None and usage.output_tokens == cap
    return at_cap or bool(said & {"length", "max_tokens", "max_output_tokens"})


def read_usage(metadata: Any) -> Usage | None:
    """Usage as reported; `None` when it is missing, says that nothing was read, or has figures that cannot be."""
    try:
        usage = Usage.from_metadata(metadata)
    except InvalidAmount:
        return None
    return usage if usage and usage.input_tokens else None


def _messages(input: LanguageModelInput) -> Sequence[BaseMessage]:
    if isinstance(input, PromptValue):
        return input.to_messages()
    return convert_to_messages([input] if isinstance(input, str) else input)
