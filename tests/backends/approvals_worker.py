"""A process at a desk and an outbox in a file, run with a role: it says on a line what it did, and goes on when it is
told to. It imports no test, so it starts at once.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any, Final, NoReturn

from langgraph_guard.backends import SystemClock
from langgraph_guard.backends.sqlite import SqliteBackend
from langgraph_guard.policies.approval.actions import Action
from langgraph_guard.policies.approval.commands import Decide
from langgraph_guard.policies.outbox import Claim, Claimed, EffectKey

REQUESTS: Final = 20
LEASE: Final = 60.0
NOON: Final = 1_767_268_800.0

PAY: Final = Action("pay", {"amount": 5, "to": "zoë"})
KEY: Final = EffectKey("acme", "t1", "c1", PAY.digest)


class Noon(SystemClock):
    """Time stands still, or is that much later."""

    def __init__(self, later: float = 0.0) -> None:
        self.later = later

    def now(self) -> float:
        return NOON + self.later


def opened(path: str, later: float = 0.0) -> SqliteBackend:
    """The file, at noon or later."""
    return SqliteBackend(path, tenant="acme", clock=Noon(later), busy_timeout=60)


def key_of(id: str) -> EffectKey:
    """The execution of the request with this id."""
    return KEY._replace(call_id=id)


def say(what: object) -> None:
    """A line for the test."""
    print(json.dumps(what), flush=True)


def answer_and_work() -> NoReturn:
    """Decide each request in the files that are named, one way or the other, and try to execute it."""
    say("ready")
    while True:
        path, number = json.loads(input())
        with opened(path) as backend:
            say([_answer_and_work(backend, f"{at}", number, (at + number) % 2 == 1) for at in range(REQUESTS)])


def _answer_and_work(backend: SqliteBackend, id: str, number: int, approves: bool) -> list[Any]:
    word = Decide("acme", id, f"r{number}", "approve" if approves else "reject", PAY.digest)
    decided: Any = backend.desk.execute([word])[0]
    (claimed,) = backend.outbox.execute([Claim(key_of(id), f"w{number}", LEASE, id, True)])
    return [decided.won, decided.approval.state, isinstance(claimed, Claimed)]


def begin(path: str) -> None:
    """Be killed between the claim and its end."""
    (claimed,) = opened(path).outbox.execute([Claim(KEY, "w1", LEASE, "a1", True)])
    say(isinstance(claimed, Claimed))
    input()


def stop_halfway(path: str) -> None:
    """Be killed in the middle of a transaction that has written already."""

    def work(connection: Any) -> None:
        for table in ("approvals", "effects", "trail", "heads"):
            connection.execute(f"DELETE FROM {table}")
        say("halfway")
        input()

    opened(path)._file.write("test", work)


ROLES: Final[dict[str, Callable[..., None]]] = {role.__name__: role for role in (answer_and_work, begin, stop_halfway)}

if __name__ == "__main__":
    ROLES[sys.argv[1]](*sys.argv[2:])
