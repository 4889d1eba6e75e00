"""Which server answers: the only one, the master that Sentinels name, or the one that holds a slot of a Cluster.

A route is what was last heard. `discover` asks, `moved` corrects, `doubt` forgets. Threads share it: every change is
one assignment.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Generator, Sequence
from typing import Any, TypeAlias

from langgraph_guard._redis import errors
from langgraph_guard._redis.actions import Action, Ask, Deadline, Drop
from langgraph_guard._redis.clients import Direct, Place, Sharded, Topology, Watched
from langgraph_guard._redis.request import packed

Discovery: TypeAlias = Generator[Sequence[Action], list[Any], Place]

SHOWN = 3
"""Addresses in an error, at most."""


class Route:
    """One server: always known, whoever stands behind its address today."""

    is_cluster = False

    def __init__(self, address: str = "") -> None:
        self._address = address

    def address(self, asked: Place | None) -> str:
        """The server that was asked, for people; where nobody knew whom to ask, those who were asked for that."""
        return str(asked) if asked and asked.host else self._address

    def place(self, slot: int | None) -> Place | None:
        """Where to send what belongs to `slot`; `None` when that must be asked for."""
        return Place()

    def discover(self, slot: int | None, deadline: Deadline) -> Discovery:
        """Ask for the place of `slot`, and remember it."""
        yield from ()
        return Place()

    def moved(self, slot: int | None, place: Place) -> None:
        """A server said that `slot` is at `place` from now on."""

    def doubt(self, place: Place) -> None:
        """The server at `place` was not there, or not what it was."""

    def at(self, host: str, port: int, asked: Place) -> Place:
        """The place that a reply of `asked` names."""
        return Place(host or asked.host, port)


class MasterRoute(Route):
    """Whom the Sentinels call master."""

    def __init__(self, watched: Watched) -> None:
        super().__init__(listed(watched.sentinels))
        self._watched = watched
        self._master: Place | None = None
        self._question = packed([("SENTINEL", "GET-MASTER-ADDR-BY-NAME", watched.service)])

    def place(self, slot: int | None) -> Place | None:
        return self._master

    def discover(self, slot: int | None, deadline: Deadline) -> Discovery:
        nobody = errors.UnknownMaster()
        return (yield from first_answer(self._watched.sentinels, self._question, self._learn, deadline, nobody))

    def _learn(self, reply: Any, asked: Place) -> Place | None:
        if not reply:
            return None
        host, port = reply
        self._master = Place(self._watched.force_ip or host.decode(), int(port))
        return self._master

    def doubt(self, place: Place) -> None:
        self._master = None


class SlotRoute(Route):
    """Who holds which slot of a Cluster."""

    is_cluster = True
    _QUESTION = packed([("CLUSTER", "SLOTS")])

    def __init__(self, sharded: Sharded) -> None:
        super().__init__(listed(sharded.nodes))
        self._sharded = sharded
        self._nodes = frozenset(sharded.nodes)
        self._holders: dict[int, Place] = {}

    def place(self, slot: int | None) -> Place | None:
        holders = self._holders
        return holders.get(slot) if slot is not None else next(iter(holders.values()), None)

    def discover(self, slot: int | None, deadline: Deadline) -> Discovery:
        def learn(reply: Any, asked: Place) -> Place | None:
            self._read(reply, asked)
            return self.place(slot)

        return (yield from first_answer(self._nodes, self._QUESTION, learn, deadline, errors.NoServer()))

    def _read(self, reply: Any, asked: Place) -> None:
        holders: dict[int, Place] = {}
        nodes = set(self._sharded.nodes)
        for first, last, *servers in reply:
            places = [self.at((host or b"").decode(), port, asked) for host, port, *_ in servers]
            holders.update(dict.fromkeys(range(first, last + 1), places[0]))
            nodes.update(places)
        self._holders, self._nodes = holders, frozenset(nodes)

    def moved(self, slot: int | None, place: Place) -> None:
        if slot is not None:
            self._holders = {**self._holders, slot: place}

    def doubt(self, place: Place) -> None:
        self._holders = {slot: holder for slot, holder in self._holders.items() if holder != place}

    def at(self, host: str, port: int, asked: Place) -> Place:
        place = host or asked.host, port
        return Place(*(self._sharded.remap(place) if self._sharded.remap else place))


def route_of(topology: Topology) -> Route:
    match topology:
        case Watched():
            return MasterRoute(topology)
        case Sharded():
            return SlotRoute(topology)
        case Direct():
            return Route(topology.address)


def listed(places: Sequence[Place]) -> str:
    """The first few."""
    return ", ".join(map(str, places[:SHOWN])) + (", …" if len(places) > SHOWN else "")


def first_answer(
    places: Collection[Place],
    question: bytes,
    learn: Callable[[Any, Place], Place | None],
    deadline: Deadline,
    nobody: errors.NoServer,
) -> Discovery:
    """What the first of `places` knows that knows it; `nobody` is the error of all when none does.

    They are asked in another order each time: one that is cut off from the rest may go on naming a dead master.
    """
    failures: list[Exception] = []
    for place in random.sample(list(places), len(places)):
        try:
            (reply,) = yield [Ask(place, question, 1, min(deadline.patience(), 1.0))]
            if isinstance(reply, Exception):
                raise reply
            if found := learn(reply, place):
                deadline.known.met = True
                return found
            failures.append(nobody)
        except Exception as error:
            if errors.remedy(error) == "none":
                raise
            failures.append(error)
        yield [Drop(place)]
    # One that was silent may be the one that is right: only where all were not there is nothing to wait for.
    raise min(failures, key=errors.absent, default=nobody)
