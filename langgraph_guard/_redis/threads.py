"""The blocking world: connections that threads share."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from typing import Any

import redis

from langgraph_guard._redis.actions import Action, Ask, Drop, Pause
from langgraph_guard._redis.clients import Place, Settings
from langgraph_guard._redis.errors import PoolBusy
from langgraph_guard._redis.routes import route_of
from langgraph_guard._redis.turnstile import Turnstile


class Threads:
    """Performs a delivery's actions, blocking. Safe to use from many threads, and after a fork."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.route = route_of(settings.topology)
        self._lanes: dict[Place, Lane] = {}
        self._pid = os.getpid()

    def perform(self, actions: Sequence[Action]) -> list[Any]:
        replies: list[Any] = []
        for action in actions:
            match action:
                case Ask():
                    replies = self._lane(action.place).exchange(action)
                case Drop():
                    self._lane(action.place).drop()
                case Pause():
                    time.sleep(action.seconds)
        return replies

    def close(self) -> None:
        lanes, self._lanes = self._lanes, {}
        for lane in lanes.values():
            lane.drop()

    def _lane(self, place: Place) -> Lane:
        if self._pid != os.getpid():
            # A child: the sockets are the parent's, and so are the locks that its threads held.
            self._lanes, self._pid = {}, os.getpid()
        try:
            return self._lanes[place]
        except KeyError:
            return self._lanes.setdefault(place, Lane(place, self.settings))


class Lane:
    """The connections to one server; at most `connections` are in use at once, and who comes then waits."""

    def __init__(self, place: Place, settings: Settings) -> None:
        self._place, self._settings = place, settings
        self._idle: list[Any] = []
        self._room = Turnstile(settings.connections)

    def exchange(self, ask: Ask) -> list[Any]:
        """The replies, error replies among them. A connection that was interrupted is never used again."""
        if not self._room.enter(ask.patience):
            raise PoolBusy(self._settings.connections)
        try:
            connection = self._take()
            try:
                replies = _converse(connection, ask)
            except BaseException:
                connection.disconnect()
                raise
            self._idle.append(connection)
            return replies
        finally:
            self._room.leave()

    def drop(self) -> None:
        while self._idle:
            try:
                self._idle.pop().disconnect()
            except IndexError:
                return

    def _take(self) -> Any:
        try:
            return self._idle.pop()
        except IndexError:
            return self._settings.connection(self._place)


def _converse(connection: Any, ask: Ask) -> list[Any]:
    _wait_at_most(connection, ask.patience)
    connection.send_packed_command([ask.data], check_health=False)
    replies = []
    for _ in range(ask.expected):
        try:
            replies.append(connection.read_response(disable_decoding=True))
        except redis.ResponseError as error:
            replies.append(error)
    return replies


def _wait_at_most(connection: Any, seconds: float) -> None:
    sock = getattr(connection, "_sock", None)
    if sock is None:
        connection.socket_timeout = connection.socket_connect_timeout = seconds
        connection.connect()
    elif hasattr(sock, "settimeout"):  # a fake of a user's tests has none
        sock.settimeout(seconds)
