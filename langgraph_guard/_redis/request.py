"""One batch on the wire: packed once, however often it is sent. Pure.

One command is sent as it is; several are sent as MULTI … EXEC, so that all of them happen or none, in one round trip.
A transaction brings its scripts along. The commands of a `Pipelined` batch are sent together too, and each happens by
itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from langgraph_guard._redis.scripts import Script

Argument: TypeAlias = bytes | str | int
Command: TypeAlias = tuple[Any, ...]
"""`(name, *arguments)`, or `(script, numkeys, *keys, *arguments)`."""

Batch: TypeAlias = Sequence[Command]


class Pipelined(tuple[Command, ...]):
    """A batch that is no transaction: in order, and others' commands may come between.

    For what reads and what removes: a server that is full refuses MULTI, whatever is in it.
    """

    __slots__ = ()


KEYLESS = frozenset(
    {"ACL", "ASKING", "AUTH", "CLIENT", "CLUSTER", "COMMAND", "CONFIG", "DBSIZE", "ECHO", "FLUSHALL", "FLUSHDB"}
    | {"FUNCTION", "HELLO", "INFO", "LASTSAVE", "LATENCY", "PING", "PUBLISH", "READONLY", "ROLE", "SCAN", "SCRIPT"}
    | {"SENTINEL", "SLOWLOG", "TIME", "WAIT"}
)
"""Commands without a key. Any server may answer them."""

_SUBCOMMANDS = frozenset(["MEMORY", "OBJECT", "XGROUP", "XINFO"])


@dataclass(frozen=True, slots=True)
class Request:
    """What to send, and how to read what comes back."""

    batch: Batch
    packed: bytes
    expected: int
    atomic: bool = False
    """Whether it is a transaction."""

    @classmethod
    def of(cls, batch: Batch, atomic: bool = True) -> Request:
        if len(batch) == 1 or not atomic:
            return cls(batch, packed(batch), len(batch))
        # A script that the server does not know would be noticed when all else was done, and all else done again.
        whole = [("MULTI",), *loads(batch), *batch, ("EXEC",)]
        return cls(batch, packed(whole), len(whole), True)

    def as_transaction(self) -> Request:
        return Request.of(self.batch)

    @property
    def operation(self) -> str:
        """What an error calls it: names of scripts and commands, never keys or values."""
        return "+".join(dict.fromkeys(_name(command[0]) for command in self.batch))

    def results(self, replies: list[Any]) -> list[Any]:
        """One reply for each command; the first that is an error is raised."""
        if not self.atomic:
            return sound(replies)
        # A command that was not queued says why; EXEC would only say that something was wrong before.
        return sound(sound(replies)[-1])[-len(self.batch) :]


def loads(batch: Batch) -> list[Command]:
    """The commands that bring a batch's scripts to a server that does not know them."""
    scripts = dict.fromkeys(command[0] for command in batch if isinstance(command[0], Script))
    return [("SCRIPT", "LOAD", script.source) for script in scripts]


def packed(commands: Iterable[Command]) -> bytes:
    """The commands in Redis' protocol, as one piece."""
    pieces: list[bytes] = []
    for name, *arguments in commands:
        if isinstance(name, Script):
            pieces.append(b"*%d\r\n$7\r\nEVALSHA\r\n$40\r\n%b\r\n" % (len(arguments) + 2, name.sha.encode()))
        else:
            arguments.insert(0, name)
            pieces.append(b"*%d\r\n" % len(arguments))
        for argument in arguments:
            data = argument if type(argument) is bytes else _encoded(argument)
            pieces.append(b"$%d\r\n%b\r\n" % (len(data), data))
    return b"".join(pieces)


def key_of(command: Command) -> bytes | None:
    """The key that decides which server of a Cluster answers; `None` when any may."""
    name, *arguments = command
    if isinstance(name, Script):
        return _encoded(arguments[1]) if int(arguments[0]) else None
    if name.upper() in _SUBCOMMANDS:
        arguments = arguments[1:]
    if not arguments or name.upper() in KEYLESS:
        return None
    return _encoded(arguments[0])


def _encoded(argument: Argument) -> bytes:
    if isinstance(argument, str):
        return argument.encode()
    if isinstance(argument, int):
        return b"%d" % argument
    return bytes(memoryview(argument))


def _name(name: Script | str) -> str:
    return name.name if isinstance(name, Script) else name


def sound(replies: list[Any]) -> list[Any]:
    for reply in replies:
        if isinstance(reply, Exception):
            raise reply
    return replies
