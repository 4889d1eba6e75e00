"""The driver's errors: what they mean, and what helps. Pure.

redis-py's classes have grown from release to release, so a reply is known by its code: the word that it begins with on
the wire.
"""

from __future__ import annotations

import errno
import re
import socket
import ssl
from collections.abc import Iterator
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


class UnknownMaster(NoServer):
    """The Sentinels answer, and have never heard of a master of that name."""


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
    "DB": "it has no database of that number",
    "NOPERM": "the user has no permission for this command or these keys (ACL)",
    "MISCONF": "it cannot write to its disk (MISCONF)",
    "WRONGTYPE": "a key of ours holds something else",
    "DENIED": "it is in protected mode, and lets in nobody from another machine",
    "CROSSSLOT": "the keys belong to different slots",
    "UNKNOWN": "it does not know a command of this request: it is too old, or the command is disabled",
}

_ADVICE = {
    "NOAUTH": "Give it: redis://:password@host:port, or password= of your client",
    "WRONGPASS": "Correct them in the URL, or in your client",
    "DB": "Correct the number at the end of the URL, or db= of your client",
    "DENIED": "Give it a password (requirepass), or a bind address",
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
    if text.startswith("Protocol error: unauthenticated"):
        return "NOAUTH"  # what a larger request meets, before the server reads which command it is
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


def absent(error: BaseException) -> bool:
    """Whether there is no Redis where it was looked for: nothing listens, no such name, or something else answers."""
    return _kind(error) in ("refused", "name", "plain", "file", "other", "master")


def target(error: BaseException) -> tuple[str, int]:
    """Where a MOVED or an ASK points. The host is empty when it is the one that was asked."""
    host, _, port = str(error).split()[-1].rpartition(":")
    return host, int(port)


def final(error: BaseException, operation: str, waited: float, address: str = "") -> StoreError | None:
    """Our error for one that nothing helped against in time; `None` when it is not the store's."""
    known = code(error)
    if known in _REASONS:
        return StoreRefused(STORE, operation, _REASONS[known], address, _ADVICE.get(known, ""))
    if _certificate(error):
        why = "its TLS certificate is not valid for this host or not trusted"
        return StoreRefused(STORE, operation, why, address, "Name its authority with ssl_ca_certs")
    if isinstance(error, redis.ResponseError) and known not in _REMEDIES:
        return StoreRefused(STORE, operation, f"it answered with an error ({known})", address)
    if remedy(error) == "none":
        return None
    why, advice = _MET.get(_kind(error), ("", ""))
    return StoreUnavailable(STORE, operation, waited, why, address, advice)


# What an attempt met

Kind: TypeAlias = Literal["refused", "name", "plain", "file", "other", "master", "full", "unconnected", "cut", ""]

_MET: dict[Kind, tuple[str, str]] = {
    "refused": ("nothing listens there", "Start the server, or correct the address"),
    "name": ("its host name is not known here", "Correct the address, or look at this machine's name service"),
    "plain": ("it does not speak TLS", "Say redis:// in the place of rediss://, or name the port that does"),
    "file": ("a file that its TLS settings name is not there", "Correct ssl_ca_certs, ssl_certfile or ssl_keyfile"),
    "other": ("what answers there is no Redis", "Correct the port; one that speaks TLS wants rediss://"),
    "master": ("no Sentinel knows a master of that name", "Correct what master_for was given"),
    "full": ("it has as many clients as it takes (maxclients)", ""),
    "unconnected": (
        "no connection came about",
        "Look for a firewall between; with rediss://, name a port that speaks TLS, or say redis://",
    ),
    "cut": ("it hangs up before it answers", "If its port speaks TLS, say rediss://"),
}
"""What is so, and what to do."""


def _kind(error: BaseException) -> Kind:
    """What is known of an attempt that failed."""
    if isinstance(error, UnknownMaster):
        return "master"
    if isinstance(error, redis.InvalidResponse):
        return "other"
    for each in _behind(error):
        if isinstance(each, socket.gaierror):
            return "name"
        if isinstance(each, FileNotFoundError):
            return "file" if _TO_A_HOST.search(str(error)) else "refused"
        if _is_refusal(each):
            return "refused"
        if isinstance(each, ssl.SSLError) and ("WRONG_VERSION_NUMBER" in str(each) or "RECORD_LAYER" in str(each)):
            return "plain"
    return next((kind for text, kind in _SAID.items() if text in str(error)), "")


_SAID: dict[str, Kind] = {
    "max number of clients": "full",
    "Timeout connecting": "unconnected",
    "Connection closed by server": "cut",
}
"""What the driver says where its class says nothing."""


_TO_A_HOST = re.compile(r"connecting to [^/]*:\d+\.")
"""And to no socket in the file system: what was not found there is a server."""


def _is_refusal(error: BaseException) -> bool:
    """asyncio makes one error of all that a name's addresses met, and then it is none of its classes."""
    if isinstance(error, ConnectionRefusedError):
        return True
    numbers = {int(number) for number in re.findall(r"\[Errno (\d+)\]", str(error))}
    return isinstance(error, OSError) and errno.ECONNREFUSED in numbers and numbers <= _NOT_THERE


_NOT_THERE = {errno.ECONNREFUSED, errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT}
"""The last two are what a machine without IPv6 says of a name's other address."""


def _certificate(error: BaseException) -> bool:
    return any(isinstance(each, ssl.SSLCertVerificationError) for each in _behind(error))


def _behind(error: BaseException | None) -> Iterator[BaseException]:
    """It, and what it came from."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
