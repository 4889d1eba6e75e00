"""What the answers of Workers KV mean for the threads that it is to keep. Pure: facts in, sentences out."""

from __future__ import annotations

from collections.abc import Collection
from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

from langgraph_guard.checkpoint.cloudflare.dates import apart
from langgraph_guard.checkpoint.cloudflare.pace import Left
from langgraph_guard.checkpoint.cloudflare.transport import Lost, Refused
from langgraph_guard.checks import Finding
from langgraph_guard.errors import StoreError, StoreRateLimited, StoreRefused, StoreUnavailable

TOLERATED: Final = 1.0
"""Seconds by which clocks may differ, beyond what a `Date` leaves open."""

RIGHT: Final = "Workers KV Storage: Edit"
"""The permission that a token needs."""

NO_NAMESPACE: Final = frozenset({10011, 10013})
NO_ROUTE: Final = frozenset({7000, 7003})
"""Cloudflare's codes: no namespace, or no id of one; a path, or an account in it, that it does not know."""

_GATEWAY: Final = "A gateway's address is like https://<its host>/do/storage/kv/namespaces/<id>."


# What can be said of an address by itself


def transport(url: str | None) -> Finding | None:
    """Whether others on the way can read along. `None`: this is no HTTP."""
    if url is None:
        return None
    parts = urlsplit(url)
    host = parts.hostname or ""
    if parts.scheme == "https":
        return Finding("ok", "transport", "The connection is encrypted, and the server's certificate is verified.")
    if _is_here(host):
        return Finding("ok", "transport", "The server is on this machine.")
    says = f"The connection to {host} is not encrypted: others can read the token and contents. Use https://."
    return Finding("warning", "transport", says)


def _is_here(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


# What was measured


def clock(ahead: float | None, url: str | None) -> Finding:
    """`ahead`: the server's clock, in seconds; `None` when it did not tell."""
    if ahead is None and url is not None and _is_here(urlsplit(url).hostname or ""):
        return Finding("ok", "clock", "The server is on this machine, and has its clock.")
    if ahead is None:
        return Finding("warning", "clock", "The server does not say what time it is. Let this machine use NTP.")
    if abs(ahead) <= TOLERATED:
        return Finding("ok", "clock", "The clocks of this machine and of the server agree.")
    matters = (
        "The newest checkpoint is the one with the latest time in its id, by the clock of the machine that wrote it:"
        " where those differ, a run that goes on elsewhere may go back."
    )
    return Finding("warning", "clock", f"{apart(ahead)} {matters} Use NTP.")


def limits(left: Left | None) -> Finding:
    """How many requests may still be made. What a plan's day has left, no answer tells before it is used up."""
    if left is None:
        return Finding("ok", "limits", "The server names no limit of requests.")
    until = f"{left.requests} requests of this token are left for the next {left.seconds:.0f} s"
    if left.few:
        says = f"Only {until}: they are spread over that time. Take a gateway (examples/cloudflare_gateway)."
        return Finding("warning", "limits", says)
    return Finding("ok", "limits", f"{until[0].upper()}{until[1:]}.")


# What was tried

DONE: Final = Finding("ok", "permissions", "The token may list, write, read and delete.")


def permissions(refused: Collection[str]) -> Finding:
    """`refused`: what the token may not do, of list, write, read and delete."""
    if not refused:
        return DONE
    if "list" in refused and "write" in refused:
        says = f"The token may neither read nor write here: it lacks {RIGHT}, or it is for another account."
    elif "write" in refused or "delete" in refused:
        says = f"The token may read, and may not {_either(refused)}. Give it {RIGHT}, not Read."
    else:
        says = f"The token may not {_either(refused)}. Give it {RIGHT}."
    return Finding("error", "permissions", says)


def _either(names: Collection[str]) -> str:
    return " or ".join(name for name in ("list", "write", "read", "delete") if name in names)


LEFT: Final = Finding("error", "server", "A key was not deleted, and the server does not say why. Try again.")


def seen(listed: bool) -> Finding:
    """What became of a key that was written a moment ago, where `visibility=0` says that all is seen at once."""
    if listed:
        return Finding("ok", "consistency", "What was written is listed at once.")
    says = "With visibility=0 nothing is waited for, and what was written is not listed at once. Leave visibility out."
    return Finding("error", "consistency", says)


STRANGE: Final = Finding("error", "address", "What was written comes back as something else: this is no Workers KV.")


# What ended the check before its time


def failed(error: StoreError, url: str | None, left: Left | None) -> Finding:
    """`left`: requests that may still be made."""
    if isinstance(error, StoreRateLimited) and error.__cause__ is None and left is not None:
        return Finding("error", "limits", f"{limits(left).says} It would take too long to look at everything.")
    if isinstance(error, StoreRateLimited):
        again = "" if error.retry_after is None else f" There is room again in {error.retry_after:.0f} s."
        return Finding("error", "limits", f"No more requests are allowed now: {error.limit}.{again}")
    cause = error.__cause__
    if isinstance(cause, Refused):
        return refused(cause, url)
    if isinstance(cause, Lost) and cause.answered:
        return _stranger(str(cause), url)
    if isinstance(error, StoreUnavailable):
        says = f"Nothing useful came from {_host(url)} within {error.waited:.1f} s: {error.why}."
        return Finding("error", "server", f"{says} Look at the address, and whether it runs.")
    says = error.reason if isinstance(error, StoreRefused) else str(error)
    return Finding("error", "server", f"The server says no: {says}.")


def refused(cause: Refused, url: str | None) -> Finding:
    """A request of a kind that everyone may make was refused."""
    codes = frozenset(cause.codes)
    if not codes:
        why = f"HTTP {cause.status} and none of Cloudflare's codes" if cause.status else str(cause)
        return _stranger(why, url)
    if cause.status == 401:
        return Finding("error", "token", f"The server says no: {cause}. Make a token with {RIGHT}.")
    if codes & NO_NAMESPACE:
        says = f"There is no such namespace in this account. {_namespaces(url)}"
        return Finding("error", "namespace", says)
    if codes & NO_ROUTE:
        says = "The path leads nowhere: the account's id is not one, or something else in the address is wrong."
        return Finding("error", "address", f"{says} {_GATEWAY}")
    return Finding("error", "server", f"The server says no: {cause}.")


def _namespaces(url: str | None) -> str:
    if url is not None and "api.cloudflare.com" in url:
        return "List them: npx wrangler kv namespace list."
    return "A gateway knows its KV bindings by their names, and for objects those in its DO_NAMESPACES."


def _stranger(why: str, url: str | None) -> Finding:
    return Finding(
        "error", "address", f"What answers at {_host(url)} does not speak Cloudflare's API: {why}. {_GATEWAY}"
    )


def _host(url: str | None) -> str:
    """And its port, if it is named. A path may hold an account's id, which nobody needs to see."""
    return "the address" if url is None else urlsplit(url).netloc
