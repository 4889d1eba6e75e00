"""Whose circuit a call belongs to: its tool's, its host's, or what a function of yours says."""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Callable, Iterator, Mapping
from itertools import chain
from typing import Any, Final, Literal, TypeAlias
from urllib.parse import urlsplit

from langgraph_guard.errors import ConfigError

Per: TypeAlias = Literal["tool", "host"] | Callable[[str, Mapping[str, Any]], str | None]
"""What has a circuit of its own: each tool, each host that tools are sent to, or what `per(tool, args)` returns."""

LONGEST_KEY: Final = 200
"""Characters. A longer key is cut and gets a digest of the whole, so that no two become one."""

_URL: Final = re.compile(r"\s*[A-Za-z][A-Za-z0-9+.-]{0,30}://")
_LONGEST_URL: Final = 4_096

_log = logging.getLogger(__name__)


def check_per(per: Any) -> None:
    if per not in ("tool", "host") and not callable(per):
        raise ConfigError("per", 'must be "tool", "host" or a function of a tool\'s name and its arguments')


def key_of(per: Per, tool: str, args: Any) -> str:
    """The key of a call. Falls back to the tool's name where there is no host, or the function says nothing of use.

    Arguments are the model's: a function that cannot read them is no reason to fail a run.
    """
    if per == "tool":
        return bounded(tool)
    found = _host(args) if per == "host" else _told(per, tool, args)
    return bounded(found or tool)


def tool_name(tool: Any) -> str:
    """The name of a tool: of an object, of a schema in OpenAI's or Anthropic's form, or the name itself."""
    if isinstance(tool, Mapping):
        inner = tool.get("function")
        name = inner.get("name") if isinstance(inner, Mapping) else tool.get("name") or tool.get("title")
    else:
        name = tool if isinstance(tool, str) else getattr(tool, "name", None) or getattr(tool, "__name__", None)
    if not isinstance(name, str):
        raise ConfigError("tools", f"one has no name: a {type(tool).__name__}")
    return name


def bounded(key: str) -> str:
    if len(key) <= LONGEST_KEY:
        return key
    digest = hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()
    return f"{key[: LONGEST_KEY - 65]}#{digest}"


def _told(per: Callable[[str, Mapping[str, Any]], str | None], tool: str, args: Any) -> str | None:
    try:
        key: object = per(tool, args if isinstance(args, Mapping) else {})
    except Exception as error:
        _log.warning("per= failed with %s: the tool's own circuit counts", type(error).__name__)
        return None
    if key is not None and not isinstance(key, str):
        _log.warning("per= returned a %s and no str: the tool's own circuit counts", type(key).__name__)
        return None
    return key


def _host(args: Any) -> str | None:
    """The host of the first argument that is a URL. `host:` keeps it apart from a tool of that name."""
    values = args.values() if isinstance(args, Mapping) else ()
    for text in chain.from_iterable(map(_texts, values)):
        if _URL.match(text) and (host := _host_of(text[:_LONGEST_URL].strip())):
            return f"host:{host}"
    return None


def _texts(value: Any) -> Iterator[str]:
    """An argument's strings: itself, or those of a flat list or dict."""
    members = value.values() if isinstance(value, Mapping) else value if isinstance(value, list | tuple) else (value,)
    return (each for each in members if isinstance(each, str))


def _host_of(url: str) -> str | None:
    try:
        return (urlsplit(url).hostname or "").rstrip(".") or None
    except ValueError:
        return None
