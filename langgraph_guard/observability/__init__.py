"""WHO LISTENS: Langfuse, OpenTelemetry, a log of steps. Nothing here may raise into a run, or slow it.

    seen = observability.setup(steps="steps.db")          # Langfuse too, where its keys are set
    config = observability.run_config(app, thread_id="t-1", user_id="u-7")
    app.invoke(inputs, config)
    observability.flush(timeout=2.0)

Every name below is imported when it is first used: whoever does not listen loads nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from langgraph_guard.observability.configs import arun_config as arun_config
    from langgraph_guard.observability.configs import run_config as run_config
    from langgraph_guard.observability.handle import Observability as Observability
    from langgraph_guard.observability.redaction import Redactor as Redactor
    from langgraph_guard.observability.redaction import default_redact as default_redact
    from langgraph_guard.observability.setting_up import flush as flush
    from langgraph_guard.observability.setting_up import setup as setup
    from langgraph_guard.observability.steps import StepRecorder as StepRecorder
    from langgraph_guard.observability.user_feedback import feedback as feedback

_WHERE = {
    "Observability": "handle",
    "Redactor": "redaction",
    "StepRecorder": "steps",
    "arun_config": "configs",
    "default_redact": "redaction",
    "feedback": "user_feedback",
    "flush": "setting_up",
    "run_config": "configs",
    "setup": "setting_up",
}

__all__ = [  # noqa: PLE0604 - the keys of one table, so that names and places cannot drift apart
    *_WHERE,
]


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_WHERE[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*globals(), *_WHERE]
