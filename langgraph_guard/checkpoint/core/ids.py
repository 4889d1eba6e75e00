"""Who a checkpoint belongs to. Every id that comes from outside passes through here before anything is sent."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final
from uuid import UUID

from langgraph_guard.errors import ConfigError

MOST_OF_AN_ID: Final = 1_024
"""Characters of a thread id, a checkpoint id, a task id or a run id."""

MOST_OF_A_NAMESPACE: Final = 4_096
"""Characters of a namespace: one level of subgraphs takes about fifty."""

MOST_OF_A_PATH: Final = 65_536
"""Characters of a task's path, which repeats the path of the task that sent it; and of a channel's name."""


class NotAList(ConfigError, TypeError):
    """One id stands where a list of ids is due. Its letters would be taken for threads."""


# What a config says


def thread_id(config: Mapping[str, Any] | None) -> str:
    """The thread; required. An int or a UUID becomes its text, as LangGraph itself does it."""
    return check_thread_id(_said(config).get("thread_id"), "configurable.thread_id")


def namespace(config: Mapping[str, Any] | None) -> str:
    """The namespace; the root graph's when none is named."""
    return namespace_or_none(config) or ""


def namespace_or_none(config: Mapping[str, Any] | None) -> str | None:
    """The namespace, or `None` when none is named: a list then takes all of them."""
    found = _said(config).get("checkpoint_ns")
    return None if found is None else check_namespace(found, "configurable.checkpoint_ns")


def checkpoint_id(config: Mapping[str, Any] | None) -> str | None:
    """The checkpoint, or `None` for the newest: LangGraph means that by "" as well."""
    found = _said(config).get("checkpoint_id")
    return None if found is None or found == "" else check_checkpoint_id(found, "configurable.checkpoint_id")


def _said(config: Mapping[str, Any] | None) -> Mapping[str, Any]:
    said = config.get("configurable") if isinstance(config, Mapping) else None
    if not isinstance(said, Mapping):
        raise ConfigError("configurable.thread_id", 'is missing: pass {"configurable": {"thread_id": "…"}}')
    return said


# What an id may be


def check_thread_id(value: Any, field: str = "thread_id") -> str:
    return _id(value, field)


def check_checkpoint_id(value: Any, field: str = "checkpoint_id") -> str:
    return _id(value, field)


def check_task_id(value: Any, field: str = "task_id") -> str:
    return _id(value, field)


def check_run_id(value: Any, field: str = "run_id") -> str:
    return _id(value, field)


def check_namespace(value: Any, field: str = "checkpoint_ns") -> str:
    return _text(value, field, MOST_OF_A_NAMESPACE)


def check_task_path(value: Any, field: str = "task_path") -> str:
    return _text(value, field, MOST_OF_A_PATH)


def check_channel(value: Any, field: str = "channel") -> str:
    return _text(value, field, MOST_OF_A_PATH)


def thread_ids(value: Any, field: str = "thread_ids") -> list[str]:
    """The threads to work on, each once, in the order given; all are checked before any is touched."""
    return _ids(value, field)


def run_ids(value: Any, field: str = "run_ids") -> list[str]:
    """The runs to work on, each once, in the order given; all are checked before any is touched."""
    return _ids(value, field)


def _ids(value: Any, field: str) -> list[str]:
    if isinstance(value, str | bytes | Mapping) or not isinstance(value, Iterable):
        raise NotAList(field, f"is {_kind(value)}; a list of ids is due")
    return list(dict.fromkeys(_id(each, f"{field}[{at}]") for at, each in enumerate(value)))


def _id(value: Any, field: str) -> str:
    if isinstance(value, UUID) or (isinstance(value, int) and not isinstance(value, bool)):
        value = _as_text(value, field)
    if value is None or value == "":
        raise ConfigError(field, "is missing" if value is None else "is empty")
    return _text(value, field, MOST_OF_AN_ID)


def _as_text(value: int | UUID, field: str) -> str:
    try:
        return str(value)
    except ValueError:  # Python refuses to write out an int of more than some thousand digits
        raise ConfigError(field, f"is an int of {value.bit_length()} bits") from None  # type: ignore[union-attr]


def _text(value: Any, field: str, most: int) -> str:
    if not isinstance(value, str):
        raise ConfigError(field, f"is {_kind(value)}; a str is due")
    if len(value) > most:
        raise ConfigError(field, f"has {len(value)} characters; the limit is {most}")
    if not value.isascii() and not _is_unicode(value):
        raise ConfigError(field, "has a lone surrogate, which is no character and cannot be stored")
    return str(value)


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _kind(value: Any) -> str:
    name = type(value).__name__
    return "None" if value is None else f"{'an' if name[:1] in 'aeiou' else 'a'} {name}"
