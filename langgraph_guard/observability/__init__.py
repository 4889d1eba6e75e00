"""WHO LISTENS: Langfuse, OpenTelemetry, a log of steps. Nothing here may raise into a run, or slow it.

    seen = observability.setup(steps="steps.db")          # Langfuse too, where its keys are set
    config = observability.run_config(app, thread_id="t-1", user_id="u-7")
    app.invoke(inputs, config)
    observability.flush(timeout=2.0)
    print(observability.tree.text(observability.read("steps.db", thread="t-1")))

Every name below is imported when it is first used: whoever does not listen loads nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from langgraph_guard.observability import tree as tree
    from langgraph_guard.observability.configs import arun_config as arun_config
    from langgraph_guard.observability.configs import run_config as run_config
    from langgraph_guard.observability.credentials import default_redact as default_redact
    from langgraph_guard.observability.handle import Dropped as Dropped
    from langgraph_guard.observability.handle import Observability as Observability
    from langgraph_guard.observability.redaction import Redactor as Redactor
    from langgraph_guard.observability.setting_up import flush as flush
    from langgraph_guard.observability.setting_up import setup as setup
    from langgraph_guard.observability.steps import Step as Step
    from langgraph_guard.observability.steps import StepRecorder as StepRecorder
    from langgraph_guard.observability.steps import read as read
    from langgraph_guard.observability.user_feedback import feedback as feedback

_WHERE = {
    "Dropped": "handle",
    "Observability": "handle",
    "Redactor": "redaction",
    "Step": "steps",
    "StepRecorder": "steps",
    "arun_config": "configs",
    "default_redact": "credentials",
    "feedback": "user_feedback",
    "flush": "setting_up",
    "read": "steps",
    "run_config": "configs",
    "setup": "setting_up",
    "tree": "tree",
}
"""In which module a name is; a module's own name is the module."""

__all__ = [  # noqa: PLE0604 - the keys of one table, so that names and places cannot drift apart
    *_WHERE,
]


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = import_module(f"{__name__}.{_WHERE[name]}")
    value = module if _WHERE[name] == name else getattr(module, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*globals(), *_WHERE]
