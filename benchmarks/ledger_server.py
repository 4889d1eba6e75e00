"""What the ledger takes of the Redis server: its time per command, and its memory per closed reservation.

Time is the server's own figure, `INFO commandstats`, of some hundred calls in a row, the median of several such. Its
clock goes on while the server waits for a processor that others use: a busy machine shows in it. The peer is
INCRBYFLOAT, measured alike. Memory is `used_memory`, of reservations that have been settled and are remembered for an
hour, so that a late replay is recognised; per million, from twenty thousand. The peer is as many plain keys with an
expiry.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from statistics import median
from typing import Any, Final

import redis

from benchmarks.ledger_redis import ACCOUNTS, COST, HIGHEST
from benchmarks.measure import Row
from benchmarks.servers import HOST, servers
from langgraph_guard.backends.redis import RedisBackend
from langgraph_guard.policies.ledger import Charge, Command, Reserve, Settle

IN_A_ROW: Final = 200
REMEMBERED: Final = 20_000
TINY: Final = 200
GOAL_US: Final = 30.0


def rows(rounds: int) -> Iterator[Row]:
    with servers() as there, redis.Redis(host=HOST, port=there.ports["redis"]) as client:
        url = f"redis://{HOST}:{there.ports['redis']}"
        with RedisBackend.from_url(url, tenant="acme", deadline=60.0) as backend:
            execute = backend.ledger.execute
            ids = iter(lambda: uuid.uuid4().hex, "")
            execute([_reserve("warm", 4), Settle("warm")])
            yield from times(client, execute, ids, max(1, rounds * 2))
            yield memory(client, execute, ids, REMEMBERED if rounds > 1 else TINY)


def times(client: Any, execute: Callable[[list[Command]], Any], ids: Iterator[str], rounds: int) -> Iterator[Row]:
    found: dict[str, list[float]] = {"add": [], "reserve 1": [], "reserve 4": [], "settle 4": []}
    for _ in range(rounds):
        found["add"].append(_server_us(client, "incrbyfloat", lambda: client.incrbyfloat("a", 0.5)))
        found["reserve 1"].append(_server_us(client, "evalsha", lambda: execute([_reserve(next(ids), 1)])))
        made = [next(ids) for _ in range(IN_A_ROW)]
        left, closing = iter(made), iter(made)
        found["reserve 4"].append(_server_us(client, "evalsha", lambda each=left: execute([_reserve(next(each), 4)])))
        found["settle 4"].append(
            _server_us(client, "evalsha", lambda each=closing: execute([Settle(next(each), {"usd": COST})]))
        )
    ours = {what: median(each) for what, each in found.items()}
    for what in ("reserve 1", "reserve 4", "settle 4"):
        verb, number = what.split()
        claim = f"ledger: server time to {verb} {number} limit{'s' if number != '1' else ''} against INCRBYFLOAT"
        goal, holds = (f"≤ {GOAL_US:.0f} µs", ours[what] <= GOAL_US) if verb == "reserve" else ("–", None)
        yield Row(claim, f"{ours[what]:.1f} µs", f"{ours['add']:.1f} µs", ours[what] / ours["add"], goal, holds)


def memory(client: Any, execute: Callable[[list[Command]], Any], ids: Iterator[str], number: int) -> Row:
    before = _used(client)
    for _ in range(number):
        id = next(ids)
        execute([_reserve(id, 4), Settle(id, {"usd": COST})])
    ours = _used_since(before, client) / number
    before = _used(client)
    for _ in range(number):
        client.set(next(ids), COST, ex=3_600)
    plain = _used_since(before, client) / number
    claim = "ledger: memory of a million settled reservations on 4 limits against a million plain keys"
    return Row(claim, f"{ours:,.0f} MB", f"{plain:,.0f} MB", ours / plain)


def _reserve(id: str, limits: int) -> Reserve:
    return Reserve(id, tuple(Charge(account, HIGHEST, 2**50) for account in ACCOUNTS[:limits]))


def _server_us(client: Any, command: str, call: Callable[[], Any]) -> float:
    client.config_resetstat()
    for _ in range(IN_A_ROW):
        call()
    return float(client.info("commandstats")[f"cmdstat_{command}"]["usec_per_call"])


def _used_since(before: int, client: Any) -> int:
    """At least a byte: a server may give back meanwhile what others had."""
    return max(1, _used(client) - before)


def _used(client: Any) -> int:
    return int(client.info("memory")["used_memory"])
