"""Chat models inside what is built around them: bindings, retries, fallbacks, sequences, parallels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from langchain_core.language_models import BaseChatModel
from langchain_core.runnables import Runnable, RunnableParallel, RunnableSequence, RunnableWithFallbacks
from langchain_core.runnables.base import RunnableBindingBase
from langchain_core.runnables.retry import RunnableRetry

from langgraph_guard.errors import ConfigError, GuardRuntimeError

Metered = TypeVar("Metered", bound=Runnable[Any, Any])


def replace_models(
    runnable: Runnable[Any, Any], metered: Callable[[Any], Metered], kind: type[Metered]
) -> Runnable[Any, Any]:
    """`runnable` with `metered(model)` in the place of each chat model, or each `kind`, that it is built around.

    Raises `ConfigError` when there is none.
    """
    found: list[Metered] = []

    def swap(part: Any) -> Any:
        if isinstance(part, (BaseChatModel, kind)):
            found.append(metered(part))
            return found[-1]
        match part:
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
