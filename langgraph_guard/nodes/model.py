"""`budget.model(llm)`: a chat model that cannot spend more than it may.

Every call reserves the most that it can cost, sends the output limit that this leaves, and settles what it did cost.
Anything built around a chat model works: bound tools, structured output, retries, fallbacks. The model inside is what
is metered, so that each attempt has its own reservation.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Generator, Iterator, Sequence
from contextlib import aclosing, closing, contextmanager, suppress
from types import TracebackType
from typing import Any, Final, cast

from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.messages import AIMessage, BaseMessage, convert_to_messages
from langchain_core.messages.ai import add_usage
from langchain_core.prompt_values import PromptValue
from langchain_core.runnables import (
    Runnable,
    RunnableConfig,
    RunnableParallel,
    RunnableSequence,
    RunnableWithFallbacks,
    ensure_config,
)
from langchain_core.runnables.base import RunnableBindingBase
from langchain_core.runnables.retry import RunnableRetry

from langgraph_guard.errors import ConfigError, GuardRuntimeError, InvalidAmount
from langgraph_guard.flow import arun, run, to_the_end
from langgraph_guard.nodes.metering import Held, LedgerFlow, Meter, ModelRef, metering
from langgraph_guard.policies.calls import Call
from langgraph_guard.policies.outcomes import outcome_of
from langgraph_guard.prices import Usage

DEFAULT_MAX_OUTPUT: Final = 4_096
"""Output tokens to assume, and to send as the cap, for a model that says nothing of its own."""

MIN_OUTPUT: Final = 256
"""An answer shorter than this is rarely worth its price: with less room than that, the call is refused."""

CAP_NAMES: Final = ("max_tokens", "max_output_tokens", "num_predict", "max_new_tokens")
TIMEOUT_FIELDS: Final = ("request_timeout", "default_request_timeout", "timeout")


class MeteredModel(Runnable[LanguageModelInput, AIMessage]):
    """A chat model under a budget: sync, async and streaming. Made by `BudgetCheckNode.model`.

    Raises `BudgetExceeded` before the call when there is no room, `PriceUnknown` when a usd limit stands and the model
    has no price, `IdentityMissing` when a limit's owner is unknown. In each case nothing was sent and nothing written.
    """

    def __init__(self, bound: BaseChatModel | MeteredModel, meter: Meter, *, landing: bool, min_output: int) -> None:
        self.bound = bound
        self.meter = meter
        self.landing = landing
        self.min_output = min_output
        self.llm: BaseChatModel = bound.llm if isinstance(bound, MeteredModel) else bound
        self._refs: dict[tuple[Any, ...], ModelRef] = {}
        self.cap_name = next((name for name in CAP_NAMES if name in type(self.llm).model_fields), CAP_NAMES[0])
        self.takes_timeout = any(name in type(self.llm).model_fields for name in TIMEOUT_FIELDS)
        self.name = self.llm.get_name()

    @property
    def profile(self) -> Any:
        """What the model can do, as LangChain tells it."""
        return self.llm.profile

    def ref(self, kwargs: dict[str, Any]) -> ModelRef:
        """Which model a call with `kwargs` goes to. Asked once for each name, since asking is slow."""
        said = vars(self.llm)
        key = kwargs.get("model"), kwargs.get("service_tier"), said.get("model_name"), said.get("model")
        if key not in self._refs:
            self._refs[key] = model_ref(self.llm, kwargs)
        return self._refs[key]

    def bind_tools(self, tools: Sequence[Any], **kwargs: Any) -> Runnable[LanguageModelInput, AIMessage]:
        return self._around(self.llm.bind_tools(tools, **kwargs))

    def with_structured_output(self, schema: Any, **kwargs: Any) -> Runnable[LanguageModelInput, Any]:
        return self._around(self.llm.with_structured_output(schema, **kwargs))

    def _around(self, built: Runnable[Any, Any]) -> Runnable[Any, Any]:
        return replace_models(built, lambda _: self)

    def invoke(self, input: LanguageModelInput, config: RunnableConfig | None = None, **kwargs: Any) -> AIMessage:
        with _Metered(self, input, config, kwargs) as call, call.holding():
            return call.answer(self.bound.invoke(input, config, **call.kwargs))

    async def ainvoke(
        self, input: LanguageModelInput, config: RunnableConfig | None = None, **kwargs: Any
    ) -> AIMessage:
        async with _Metered(self, input, config, kwargs) as call:
            with call.holding():
                return call.answer(await call.in_time(self.bound.ainvoke(input, config, **call.kwargs)))

    def stream(
        self, input: LanguageModelInput, config: RunnableConfig | None = None, **kwargs: Any
    ) -> Iterator[AIMessage]:
        with (
            _Metered(self, input, config, kwargs) as call,
            closing(_generator(self.bound.stream(input, config, **call.kwargs))) as chunks,
        ):
            while (chunk := call.next(chunks)) is not None:
                yield call.chunk(chunk)
            call.finished = True

    async def astream(
        self, input: LanguageModelInput, config: RunnableConfig | None = None, **kwargs: Any
    ) -> AsyncIterator[AIMessage]:
        async with (
            _Metered(self, input, config, kwargs) as call,
            aclosing(_agenerator(self.bound.astream(input, config, **call.kwargs))) as chunks,
        ):
            while (chunk := await call.anext(chunks)) is not None:
                yield call.chunk(chunk)
            call.finished = True


def meter_model(
    model: Runnable[Any, Any], meter: Meter, *, landing: bool, min_output: int
) -> Runnable[LanguageModelInput, Any]:
    """`model` with every chat model in it metered. Raises `ConfigError` when there is none, `PriceUnknown` when one
    of them names itself, has no price and is under a usd limit."""

    def metered(llm: BaseChatModel | MeteredModel) -> MeteredModel:
        if isinstance(llm, MeteredModel) and llm.meter is meter and llm.landing == landing:
            return llm
        wrapped = MeteredModel(llm, meter, landing=landing, min_output=min_output)
        asked = model_ref(wrapped.llm, {})
        if asked.name:
            meter.rates(asked, meter.backend.clock.now())
        return wrapped

    return replace_models(model, metered)


def replace_models(runnable: Runnable[Any, Any], metered: Callable[[Any], MeteredModel]) -> Runnable[Any, Any]:
    """`runnable` with `metered(model)` in the place of each chat model that it is built around."""
    found: list[MeteredModel] = []

    def swap(part: Any) -> Any:
        match part:
            case BaseChatModel() | MeteredModel():
                found.append(metered(part))
                return found[-1]
            case RunnableRetry():
                patient = _unless_denied(part.retry_exception_types)
                return part.model_copy(update={"bound": swap(part.bound), "retry_exception_types": patient})
            case RunnableBindingBase():
                return part.model_copy(update={"bound": swap(part.bound)})
            case RunnableWithFallbacks():
                others = [swap(other) for other in part.fallbacks]
                return part.model_copy(update={"runnable": swap(part.runnable), "fallbacks": others})
            case RunnableSequence():
                return RunnableSequence(*(swap(step) for step in part.steps), name=part.name)
            case RunnableParallel():
                return RunnableParallel({key: swap(step) for key, step in part.steps__.items()})
            case _:
                return part

    swapped: Runnable[Any, Any] = swap(runnable)
    if not found:
        raise ConfigError("model", f"must be a chat model, or built around one; is a {type(runnable).__name__}")
    return swapped


def _unless_denied(retry_on: Any) -> Callable[[BaseException], bool]:
    """What a retry retries, without denials: they would only be repeated."""

    def decide(error: BaseException) -> bool:
        wanted = retry_on(error) if callable(retry_on) else isinstance(error, retry_on)
        return wanted and not isinstance(error, GuardRuntimeError)

    return decide


def meters_in(runnable: Runnable[Any, Any]) -> tuple[Meter, ...]:
    """The meters of the metered models that `runnable` is built around."""
    found: list[Meter] = []

    def note(model: Any) -> Any:
        found.extend([model.meter] if isinstance(model, MeteredModel) else [])
        return model

    with suppress(ConfigError):
        replace_models(runnable, note)
    return tuple(found)


class _Metered:
    """One call: reserved on entry, closed on exit, whatever happens in between."""

    closed = True

    def __init__(
        self, model: MeteredModel, input: LanguageModelInput, config: RunnableConfig | None, kwargs: dict[str, Any]
    ) -> None:
        self.model = model
        self.meter = model.meter
        self.config = ensure_config(config)
        self.kwargs = kwargs
        self.held = Held(uuid.uuid4().hex, model.ref(kwargs))
        self.finished = False
        self.deadline: float | None = None
        self._input = input
        self._usage: Any = None
        self._metadata: dict[str, Any] = {}

    # Sync and async: the same flows

    def __enter__(self) -> _Metered:
        try:
            run(self._open(), self.meter.backend.ledger.execute)
        except BaseException as error:
            self.__exit__(type(error), error, None)
            raise
        return self

    def __exit__(self, kind: Any, error: BaseException | None, trace: TracebackType | None) -> None:
        run(self._close(error), self.meter.backend.ledger.execute)
        self._out_of_time(error)

    def __del__(self) -> None:
        """What a KeyboardInterrupt on the way to `__exit__` left open."""
        if not self.closed:
            run(self._close(KeyboardInterrupt()), self.meter.backend.ledger.execute)

    async def __aenter__(self) -> _Metered:
        try:
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
        if self.meter.limits_output:
            self.kwargs = {**self.kwargs, self.model.cap_name: self.held.cap}
        if self.held.timeout is not None and self.model.takes_timeout and "timeout" not in self.kwargs:
            self.kwargs["timeout"] = self.held.timeout

    def _close(self, error: BaseException | None) -> LedgerFlow:
        if self.held.cap is None:
            yield from self.meter.abandon(self.held)
        elif error is None or (isinstance(error, GeneratorExit) and self.finished):
            yield from self._settle()
        elif (outcome := outcome_of(error)) != "uncertain" and self._usage is None:
            yield from self.meter.release(self.held, outcome)
        else:
            yield from self.meter.settle(self.held, None, "uncertain")
        self.closed = True

    def _settle(self) -> LedgerFlow:
        if self._usage is not None and self._usage.get("total_cost") == 0:
            yield from self.meter.release(self.held, "cached")
            return
        self.held.answered_by = answered_by(self._metadata, self.held.model)
        usage = read_usage(self._usage)
        yield from self.meter.settle(self.held, usage, "unmeasured" if usage is None else "answered")
        if not self.model.landing and ended_at_cap(self._metadata, usage, self.held.cap):
            self.meter.cut(self.held, usage, self.config)

    def _out_of_time(self, error: BaseException | None) -> None:
        """A time-out because the turn's seconds ran out is the limit's doing, and says so."""
        if error is not None and "Timeout" in type(error).__name__:
            self.meter.check_time(self.config, self.model.landing, error)

    # What the call costs

    def _call(self) -> Call:
        most = _own_cap(self.model, self.kwargs)
        tools = self.kwargs.get("tools") or ()
        read = self.meter.count(_messages(self._input), tools)
        return Call(read, most, min(most, self.model.min_output), self.model.landing)

    def answer(self, message: AIMessage) -> AIMessage:
        self._usage = message.usage_metadata
        self._metadata = message.response_metadata
        return message

    def chunk(self, chunk: AIMessage) -> AIMessage:
        if chunk.usage_metadata:
            self._usage = chunk.usage_metadata if self._usage is None else add_usage(self._usage, chunk.usage_metadata)
        self._metadata.update(chunk.response_metadata)
        self.finished = self.finished or getattr(chunk, "chunk_position", None) == "last"
        return chunk

    # Inner meters of the same budget abstain while this one holds the reservation

    @contextmanager
    def holding(self) -> Iterator[None]:
        token = metering.set(metering.get() | {self.meter.name})
        try:
            yield
        finally:
            metering.reset(token)

    def next(self, chunks: Iterator[Any]) -> Any:
        with self.holding():
            return next(chunks, None)

    async def anext(self, chunks: AsyncIterator[Any]) -> Any:
        with self.holding():
            return await self.in_time(anext(chunks, None))

    async def in_time(self, work: Awaitable[Any]) -> Any:
        """The result of `work`, or `TimeoutError` when the seconds that are left run out first."""
        if self.deadline is None:
            return await work
        async with asyncio.timeout_at(self.deadline):
            return await work


def model_ref(llm: BaseChatModel, kwargs: dict[str, Any]) -> ModelRef:
    """Which model a call goes to, from what the client tells its tracers."""
    told = llm._get_ls_params(**kwargs)
    tier = kwargs.get("service_tier") or vars(llm).get("service_tier")
    name = kwargs.get("model") or told.get("ls_model_name") or ""
    return ModelRef(name, told.get("ls_provider"), tier if tier in ("flex", "priority") else None)


def answered_by(metadata: dict[str, Any], asked: ModelRef) -> ModelRef:
    """Which model a response says it came from, at the provider that was asked: gateways answer in others' names."""
    name = metadata.get("model_name") or metadata.get("model") or asked.name
    return ModelRef(name, asked.provider or metadata.get("model_provider"), asked.tier)


def ended_at_cap(metadata: dict[str, Any], usage: Usage | None, cap: int | None) -> bool:
    """Whether an answer ended because its output limit did: the provider says so, or it is exactly that long."""
    said = {str(metadata.get(name)).lower() for name in ("finish_reason", "stop_reason", "done_reason")}
    return bool(said & {"length", "max_tokens"}) or (usage is not None and usage.output_tokens == cap)


def read_usage(metadata: Any) -> Usage | None:
    """Usage as reported; `None` when it is missing, all zero, or its figures cannot be."""
    try:
        usage = Usage.from_metadata(metadata)
    except InvalidAmount:
        return None
    return usage if usage and usage.total_tokens else None


def _own_cap(model: MeteredModel, kwargs: dict[str, Any]) -> int:
    """The most output tokens that this call may have by itself."""
    said = kwargs.get(model.cap_name) or getattr(model.llm, model.cap_name, None)
    profile = cast(dict[str, Any], model.llm.profile or {})
    most = said or profile.get("max_output_tokens") or DEFAULT_MAX_OUTPUT
    return most if isinstance(most, int) and most > 0 else DEFAULT_MAX_OUTPUT


def _generator(chunks: Iterator[Any]) -> Generator[Any, None, None]:
    """A stream that can be closed, whatever the client returned."""
    yield from chunks


async def _agenerator(chunks: AsyncIterator[Any]) -> AsyncGenerator[Any, None]:
    async for chunk in chunks:
        yield chunk


def _messages(input: LanguageModelInput) -> Sequence[BaseMessage]:
    if isinstance(input, PromptValue):
        return input.to_messages()
    return convert_to_messages([input] if isinstance(input, str) else input)
