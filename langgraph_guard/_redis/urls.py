"""A server's URL: what is wrong with it is said, and never quoted, for it has the password in it."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import SplitResult, unquote, urlsplit

from langgraph_guard.errors import ConfigError

LIKE: Final = "redis://localhost:6379"
SCHEMES: Final = ("redis://", "rediss://", "unix://")


def checked_url(url: object) -> str:
    """`url`, or a `ConfigError` that says how it should be."""
    if problem := _problem(url):
        raise ConfigError("url", problem) from None
    return str(url)


def _problem(url: object) -> str | None:
    if not isinstance(url, str):
        return f"must be a str like {LIKE}, is a {type(url).__name__}"
    if not url.startswith(SCHEMES):
        return f"must be like {LIKE}, rediss:// or unix://"
    try:
        found = None if url.startswith("unix://") else _part(urlsplit(url))
    except ValueError:
        found = "its host cannot be read"
    return found and f"{found}. It must be like {LIKE}/0; a password's /, ?, # and @ are written with %"


def _part(parsed: SplitResult) -> str | None:
    """What the driver would guess at, or stumble over at the first use."""
    try:
        _ = parsed.port
    except ValueError:
        return "its port is no number from 1 to 65535"
    try:
        (parsed.hostname or "").encode("idna")
    except UnicodeError:
        return "its host is not a name that a host can have"
    # The driver takes any other path for database 0, where somebody else's data are.
    return None if re.fullmatch(r"/?[0-9]*", unquote(parsed.path)) else "its path must be the number of a database"
