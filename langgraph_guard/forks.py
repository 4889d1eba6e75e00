"""A fork takes one thread along: a lock that another one held stays locked in the child. And what a process knows of
the files that it has open is wrong there."""

from __future__ import annotations

import os
import threading
from typing import Any, Final, Protocol
from weakref import WeakSet


class Lock:
    """For what listeners and recorders keep. In a child it is free, and a thread that holds it may come again: wherever
    something is allocated, the garbage collector may end an abandoned stream, whose meter has something to say.
    """

    def __init__(self) -> None:
        self.renew()
        renew_in_children(self)

    def renew(self) -> None:
        self._lock = threading.RLock()

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *raised: object) -> None:
        self._lock.release()


class Renewable(Protocol):
    """What holds locks or connections."""

    def renew(self) -> None:
        """Begin anew in a child: no lock is held, no connection is open."""
        ...


class Haltable(Protocol):
    """What must not be at work while a process forks."""

    def halt(self) -> None:
        """Close what is open, and keep others from opening it until `go_on`."""
        ...

    def go_on(self, *, as_child: bool) -> None:
        """The fork is over; a child has no threads but this one."""
        ...


def renew_in_children(thing: Renewable) -> None:
    """Have `thing.renew()` called in every process that is forked from this one while `thing` lives."""
    with _FORKING:
        _RENEWED.add(thing)


def halt_in_forks(thing: Haltable) -> None:
    """Have `thing.halt()` called before each fork while `thing` lives, and `thing.go_on()` on both sides of it."""
    with _FORKING:
        _HALTING.add(thing)


_RENEWED: Final[WeakSet[Any]] = WeakSet()
_HALTING: Final[WeakSet[Any]] = WeakSet()
_HALTED: Final[list[Haltable]] = []
_FORKING: Final = threading.RLock()


def _before() -> None:
    _FORKING.acquire()
    for thing in list(_HALTING):
        thing.halt()
        _HALTED.append(thing)


def _after(*, as_child: bool) -> None:
    for thing in _HALTED:
        thing.go_on(as_child=as_child)
    _HALTED.clear()
    _FORKING.release()


def _after_in_child() -> None:
    for thing in list(_RENEWED):
        thing.renew()
    _after(as_child=True)


if hasattr(os, "register_at_fork"):  # not on Windows, which does not fork
    os.register_at_fork(before=_before, after_in_parent=lambda: _after(as_child=False), after_in_child=_after_in_child)
