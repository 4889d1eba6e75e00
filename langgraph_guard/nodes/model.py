"""`budget.model(llm)`: a chat model that cannot spend more than it may.

Every call reserves the most that it can cost, sends the output limit that this leaves, and settles what it did cost.
Anything built around a chat model works: bound tools, structured output, retries, fallbacks. The model inside is what
is metered, so that each attempt has its own reservation.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterator, Mapping, Sequence
from contextlib import aclosing, closing, suppress
from typing import Any, Final

from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.messages import AIMessage
from langchain_core.runnables import (
    Runnable,
    RunnableConfig,
)

from langgraph_guard.errors import ConfigError
from langgraph_guard.flow import arun, run
from langgraph_guard.nodes.around import replace_models
from langgraph_guard.nodes.attempt import Attempt
from langgraph_guard.nodes.clients import taken_over
from langgraph_guard.nodes.held import metering
from langgraph_guard.nodes.metering import Meter
from langgraph_guard.nodes.pricing import ModelRef
from langgraph_guard.nodes.retries import Retries
from langgraph_guard.policies.calls import DEFAULT_MAX_OUTPUT

CAP_NAMES: Final = ("max_tokens", "max_output_tokens", "num_predict", "max_new_tokens")
CAP_ALIASES: Final = (*CAP_NAMES, "max_completion_tokens", "max_tokens_to_sample")
TIMEOUT_FIELDS: Final = ("request_timeout", "default_request_timeout", "timeout")


class MeteredModel(Runnable[LanguageModelInput, AIMessage]):
    """A chat model under a budget: sync, async and streaming. Made by `BudgetCheckNode.model`.

    Raises `BudgetExceeded` before the call when there is no room, `PriceUnknown` when a usd limit stands and the model
    has no price, `IdentityMissing` when a limit's owner is unknown. In each case nothing was sent and nothing written.
    """

    def __init__(
        self, bound: BaseChatModel | MeteredModel, meter: Meter, *, landing: bool, min_output: int, retries: int = 0
    ) -> None:
        self.bound = bound
        self.retries = retries
        self.meter = meter
        self.landing = landing
        self.min_output = min_output
        self.llm: BaseChatModel = bound.llm if isinstance(bound, MeteredModel) else bound
        self._refs: dict[tuple[Any, ...], ModelRef] = {}
        self.cap_name = cap_name(self.llm)
        self.takes_timeout = any(name in type(self.llm).model_fields for name in TIMEOUT_FIELDS)
        self.name = self.llm.get_name()

    def once(self) -> MeteredModel:
        """The same with one attempt per call: a meter around it makes the others."""
        return MeteredModel(self.bound, self.meter, landing=self.landing, min_output=self.min_output)

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

    def own_cap(self, kwargs: dict[str, Any]) -> int:
        """The most output tokens that a call may have by itself: as it says, as the model says, as its kind can."""
        said = [*self._settings(kwargs, *CAP_ALIASES)] or [(self.llm.profile or {}).get("max_output_tokens")]
        return min((most for most in said if _is_count(most)), default=DEFAULT_MAX_OUTPUT)

    def capped(self, kwargs: dict[str, Any], cap: int | None) -> dict[str, Any]:
        """The arguments of a call that may write `cap` tokens, under whichever name its model knows."""
        return {**{name: each for name, each in kwargs.items() if name not in CAP_ALIASES}, self.cap_name: cap}

    def own_timeout(self, kwargs: dict[str, Any]) -> float | None:
        """The seconds that a call may take by itself, where it is a plain number."""
        said = [*self._settings(kwargs, "timeout"), *self._settings({}, *TIMEOUT_FIELDS)]
        return next((float(each) for each in said if isinstance(each, (int, float))), None)

    def choices(self, kwargs: dict[str, Any]) -> int:
        """How many answers a call asks for."""
        return max((each for each in self._settings(kwargs, "n", "best_of") if _is_count(each)), default=1)

    def thinks(self, kwargs: dict[str, Any]) -> int:
        """Tokens that an answer may think before it says anything: the provider refuses a cap that is not above."""
        said = next(self._settings(kwargs, "thinking"), None)
        budget = said.get("budget_tokens") if isinstance(said, Mapping) else None
        return budget if isinstance(budget, int) else 0

    def _settings(self, kwargs: dict[str, Any], *names: str) -> Iterator[Any]:
        """What the call, or else the model, sets of `names`."""
        own = vars(self.llm)
        places = kwargs, own, own.get("model_kwargs") or {}
        for name in names:
            for place in places:
                if place.get(name) is not None:
                    yield place[name]
                    break

    def bind_tools(self, tools: Sequence[Any], **kwargs: Any) -> Runnable[LanguageModelInput, AIMessage]:
        return self._around(self.llm.bind_tools(tools, **kwargs))

    def with_structured_output(self, schema: Any, **kwargs: Any) -> Runnable[LanguageModelInput, Any]:
        return self._around(self.llm.with_structured_output(schema, **kwargs))

    def _is_held(self) -> bool:
        """Whether a call of this budget is under way around this one: its reservation is for both."""
        return self.meter in metering.get()

    def _around(self, built: Runnable[Any, Any]) -> Runnable[Any, Any]:
        return replace_models(built, lambda _: self, MeteredModel)

    def invoke(self, input: LanguageModelInput, config: RunnableConfig | None = None, **kwargs: Any) -> AIMessage:
        if self._is_held():
            return self.bound.invoke(input, config, **kwargs)
        retries = Retries(self)
        while True:
            try:
                with Attempt(self, input, config, kwargs, retries) as call, call.holding():
                    return call.answer(self.bound.invoke(input, call.told, **call.kwargs))
            except Exception as error:
                if not run(retries.after(error), self.meter.backend.ledger.execute):
                    raise

    async def ainvoke(
        self, input: LanguageModelInput, config: RunnableConfig | None = None, **kwargs: Any
    ) -> AIMessage:
        if self._is_held():
            return await self.bound.ainvoke(input, config, **kwargs)
        retries = Retries(self)
        while True:
            try:
                async with Attempt(self, input, config, kwargs, retries) as call:
                    with call.holding():
                        return call.answer(await call.in_time(self.bound.ainvoke(input, call.told, **call.kwargs)))
            except Exception as error:
                if not await arun(retries.after(error), self.meter.backend.ledger.aexecute):
                    raise

    def stream(
        self, input: LanguageModelInput, config: RunnableConfig | None = None, **kwargs: Any
    ) -> Iterator[AIMessage]:
        if self._is_held():
            yield from self.bound.stream(input, config, **kwargs)
            return
        retries = Retries(self)
        while not retries.over:
            try:
                with (
                    Attempt(self, input, config, kwargs, retries) as call,
                    closing(_generator(self.bound.stream(input, call.told, **call.kwargs))) as chunks,
                ):
                    while (chunk := call.next(chunks)) is not None:
                        yield call.chunk(chunk)
                    retries.over = call.finished = True
            except Exception as error:
                if not run(retries.after(error), self.meter.backend.ledger.execute):
                    raise

    async def astream(
        self, input: LanguageModelInput, config: RunnableConfig | None = None, **kwargs: Any
    ) -> AsyncIterator[AIMessage]:
        if self._is_held():
            async for part in self.bound.astream(input, config, **kwargs):
                yield part
            return
        retries = Retries(self)
        while not retries.over:
            try:
                async with (
                    Attempt(self, input, config, kwargs, retries) as call,
                    aclosing(_agenerator(self.bound.astream(input, call.told, **call.kwargs))) as chunks,
                ):
                    while (chunk := await call.anext(chunks)) is not None:
                        yield call.chunk(chunk)
                    retries.over = call.finished = True
            except Exception as error:
                if not await arun(retries.after(error), self.meter.backend.ledger.aexecute):
                    raise


def meter_model(
    model: Runnable[Any, Any], meter: Meter, *, landing: bool, min_output: int
) -> Runnable[LanguageModelInput, Any]:
    """`model` with every chat model in it metered. Raises `ConfigError` when there is none, `PriceUnknown` when one
    of them names itself, has no price and is under a usd limit."""

    def metered(llm: BaseChatModel | MeteredModel) -> MeteredModel:
        retries = 0
        while isinstance(llm, MeteredModel) and llm.meter is meter:
            retries, llm = max(retries, llm.retries), llm.bound
        once, more = (llm.once(), llm.retries) if isinstance(llm, MeteredModel) else taken_over(llm)
        wrapped = MeteredModel(once, meter, landing=landing, min_output=min_output, retries=max(retries, more))
        asked = model_ref(wrapped.llm, {})
        if asked.name:
            meter.pricing.rates(asked, meter.backend.clock.now())
        return wrapped

    return replace_models(model, metered, MeteredModel)


def _is_count(value: object) -> bool:
    return type(value) is int and value > 0


def meters_in(runnable: Runnable[Any, Any]) -> tuple[Meter, ...]:
    """The meters of the metered models that `runnable` is built around."""
    found: list[Meter] = []

    def note(model: Any) -> Any:
        found.extend([model.meter] if isinstance(model, MeteredModel) else [])
        return model

    with suppress(ConfigError):
        replace_models(runnable, note, MeteredModel)
    return tuple(found)


def model_ref(llm: BaseChatModel, kwargs: dict[str, Any]) -> ModelRef:
    """Which model a call goes to, from what the client tells its tracers."""
    told = llm._get_ls_params(**kwargs)
    tier = kwargs.get("service_tier") or vars(llm).get("service_tier")
    name = kwargs.get("model") or told.get("ls_model_name") or ""
    # A request for flex may be served, and billed, at the standard price.
    return ModelRef(name, told.get("ls_provider"), None if tier in ("auto", "default", "flex") else tier)


def cap_name(llm: BaseChatModel) -> str:
    """What a call names the cap: `ChatOpenAI` lets its own `max_completion_tokens` win over a call's `max_tokens`."""
    fields = type(llm).model_fields
    name = next((name for name in CAP_NAMES if name in fields), CAP_NAMES[0])
    alias = fields[name].alias if name in fields else None
    return "max_completion_tokens" if alias == "max_completion_tokens" else name


def _generator(chunks: Iterator[Any]) -> Generator[Any, None, None]:
    """A stream that can be closed, whatever the client returned."""
    yield from chunks


async def _agenerator(chunks: AsyncIterator[Any]) -> AsyncGenerator[Any, None]:
    async for chunk in chunks:
        yield chunk
