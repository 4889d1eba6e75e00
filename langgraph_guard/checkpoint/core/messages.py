"""The messages of conversations, which are most of what is stored, without a detour.

A message was validated when it was made, and a whole one that is read needs no second time: it is filled as unpickling
would fill it. That is ten times as fast. One that lacks a field, or has one more, takes the long way.
"""

from __future__ import annotations

from typing import Any, Final

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage

_CLASSES: Final = (AIMessage, HumanMessage, SystemMessage, ToolMessage)

NAMES: Final[dict[type, tuple[str, str]]] = {cls: (cls.__module__, cls.__qualname__) for cls in _CLASSES}
"""Module and name of each class; a class derived from one of them is not here."""

_BY_NAME: Final = {name: cls for cls, name in NAMES.items()}
_FIELDS: Final[dict[type, frozenset[str]]] = {cls: frozenset(cls.model_fields) for cls in _CLASSES}


def whole(contents: Any) -> BaseMessage | None:
    """The message that a pydantic extension's contents are, or `None` if they are anything else."""
    cls = _BY_NAME.get((contents[0], contents[1]))
    if cls is None or contents[2].keys() != _FIELDS[cls]:
        return None
    return _filled(cls, contents[2])


def _filled(cls: type[BaseMessage], values: dict[str, Any]) -> BaseMessage:
    message = cls.__new__(cls)
    message.__setstate__(
        {
            "__dict__": values,
            "__pydantic_fields_set__": set(values),
            "__pydantic_extra__": {},
            "__pydantic_private__": None,
        }
    )
    return message
