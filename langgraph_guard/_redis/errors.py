"""The driver's errors: what they mean, and what helps. Pure.

redis-py's classes have grown from release to release, so a reply is known by its code: the word that it begins with on
the wire.
"""

from __future__ import annotations

import re
import ssl
from typing import Literal, TypeAlias

import redis

from langgraph_guard.errors import StoreError, StoreRefused, StoreUnavailable

STORE = "redis"


class PoolBusy(Exception):
    """All connections were in use for as long as one may wait."""

    def __init__(self, connections: int) -> None:
        super().__init__(f"all {connections} connections are in use")


class NoServer(Exception):
    """Nobody names a master, or a holder of the slot."""

    def __init__(self) -> None:
        super().__init__("no server is known for it")


Remedy: TypeAlias = Literal["load", "moved", "ask", "wait", "reconnect", "none"]
"""Load the scripts first; ask where it points; send again later, there or on a new connection; nothing."""

_REMEDIES: dict[str, Remedy] = {
    "NOSCRIPT": "load",
    "MOVED": "moved",
    "ASK": "ask",
    "TRYAGAIN": "wait",
    "BUSY": "wait",
    "NOREPLICAS": "wait",
    "LOADING": "reconnect",
    "READONLY": "reconnect",
    "MASTERDOWN": "reconnect",
    "CLUSTERDOWN": "reconnect",
}

_REASONS = {
    "OOM": "it is out of memory (maxmemory)",
    "READONLY": "it is a read-only replica",
    "NOREPLICAS": "it has too few replicas (min-replicas-to-write)",
    "NOAUTH": "it wants a password",
    "WRONGPASS": "the user name or the password is wrong",
    "NOPERM": "the user has no permission for this command or these keys (ACL)",
    "MISCONF": "it cannot write to its disk (MISCONF)",
    "WRONGTYPE": "a key of ours holds something else",
    "CROSSSLOT": "the keys belong to different slots",
    "UNKNOWN": "it does not know a command of this request: it is too old, or the command is disabled",
}

# redis-py takes the code off some messages and says it with the class.
_CODES = {
    "AskError": "ASK",
    "AuthenticationError": "WRONGPASS",
    "AuthenticationWrongNumberOfArgsError": "WRONGPASS",
    "AuthorizationError": "NOPERM",
    "BusyLoadingError": "LOADING",
    "ClusterCrossSlotError": "CROSSSLOT",
    "ClusterDownError": "CLUSTERDOWN",
    "ExternalAuthProviderError": "WRONGPASS",
    "MasterDownError": "MASTERDOWN",
    "MovedError": "MOVED",
    "NoPermissionError": "NOPERM",
    "NoScriptError": "NOSCRIPT",
    "OutOfMemoryError": "OOM",
    "ReadOnlyError": "READONLY",
    "TryAgainError": "TRYAGAIN",
}


def code(error: BaseException) -> str:
    """The word that the reply began with; empty for what is no reply."""
    if known := _CODES.get(type(error).__name__):
        return "NOAUTH" if known == "WRONGPASS" and "required" in str(error) else known
    if not isinstance(error, redis.ResponseError):
        return ""
    text = str(error).removeprefix("ERR ")
    if text.startswith(("unknown command", "unknown subcommand", "Unknown subcommand")):
        return "UNKNOWN"
    if "The user executing the script can't" in text or "ACL failure in script" in text:
        return "NOPERM"
    if text.startswith("Error running script"):
        return _code_in_script(text)
    word = text.partition(" ")[0]
    return word if word.isupper() else "ERR"


def _code_in_script(text: str) -> str:
    # Up to 6.2 the reply to a command inside a script is wrapped: "… @user_script:1: -OOM command not allowed …"
    return next((word for word in (*_REMEDIES, *_REASONS) if re.search(rf"\b{word}\b", text)), "ERR")


def remedy(error: BaseException) -> Remedy:
    """What helps against `error`. What got lost on its way may be sent again: batches are idempotent."""
    if isinstance(error, (PoolBusy, NoServer)):
        return "wait"
    if known := code(error):
        return _REMEDIES.get(known, "none")
    if _certificate(error):
        return "none"
    return "reconnect" if isinstance(error, (redis.RedisError, OSError, EOFError, TimeoutError)) else "none"


def target(error: BaseException) -> tuple[str, int]:
    """Where a MOVED or an ASK points. The host is empty when it is the one that was asked."""
    host, _, port = str(error).split()[-1].rpartition(":")
    return host, int(port)


def final(error: BaseException, operation: str, waited: float) -> StoreError | None:
    """Our error for one that nothing helped against in time; `None` when it is not the store's."""
    known = code(error)
    if known in _REASONS:
        return StoreRefused(STORE, operation, _REASONS[known])
    if _certificate(error):
        return StoreRefused(STORE, operation, "its TLS certificate is not valid for this host or not trusted")
    if isinstance(error, redis.ResponseError) and known not in _REMEDIES:
        return StoreRefused(STORE, operation, f"it answered with an error ({known})")
    if remedy(error) == "none":
        return None
    why = "nothing listens at its address" if _met(error, ConnectionRefusedError) else ""
    return StoreUnavailable(STORE, operation, waited, why)


def _certificate(error: BaseException | None) -> bool:
    return _met(error, ssl.SSLCertVerificationError)


def _met(error: BaseException | None, kind: type[BaseException]) -> bool:
    """Whether an error of this kind is behind it."""
    while error is not None:
        if isinstance(error, kind):
            return True
        error = error.__cause__ or error.__context__
    return False
