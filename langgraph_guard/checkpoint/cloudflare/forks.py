"""A fork takes one thread along: a lock that another one held stays locked in the child. So there everything is new."""

from __future__ import annotations

import os
from typing import Any, Protocol
from weakref import WeakSet


class Renewable(Protocol):
    """What holds locks or connections."""

    def renew(self) -> None:
        """Begin anew in a child: no lock is held, no connection is open."""
        ...


_KNOWN: WeakSet[Any] = WeakSet()


def renew_in_children(thing: Renewable) -> None:
    """Have `thing.renew()` called in every process that is forked from this one while `thing` lives."""
    _KNOWN.add(thing)


def _renew() -> None:
    for thing in list(_KNOWN):
        thing.renew()


if hasattr(os, "register_at_fork"):  # not on Windows, which does not fork
    os.register_at_fork(after_in_child=_renew)
