"""The same superstep when the server is a millisecond and more away, where round trips decide."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from functools import cache

from rich.console import Group, RenderableType

from benchmarks.measure import Row
from benchmarks.peers import BOTH, OFFICIAL, absent
from benchmarks.savers import TINY, Measured, of_limit, of_official, time, times, weigh
from benchmarks.servers import away, servers
from benchmarks.supersteps import OPERATIONS

ROUNDS = 5
SIZES = (10, 100)
EACH_WAY = 0.001
"""Seconds that the proxy waits. An event loop waits for a millisecond at least."""


def rows(rounds: int = ROUNDS) -> Iterator[Row]:
    found = measured(rounds)
    for how in BOTH:
        yield from of_limit(found, how, "distant", {})
        if OFFICIAL in found.names(how):
            yield from of_official(found, how, "distant", COMPARED)


COMPARED = dict.fromkeys([(operation, 1) for operation in OPERATIONS])


@cache
def measured(rounds: int) -> Measured:
    with servers() as near, ExitStack() as stack:
        result = Measured(SIZES if rounds > 1 else TINY[:2], absent(near))
        weigh(near, result)
        far = {name: stack.enter_context(away(port, EACH_WAY)) for name, port in near.ports.items()}
        time(near, far.get, rounds, result)
        return result


def every_operation() -> RenderableType:
    found = measured(ROUNDS)
    return Group(*(times(found, how, ", a proxy's delay away") for how in BOTH))
