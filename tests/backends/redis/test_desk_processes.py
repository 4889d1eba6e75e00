"""Processes that decide and claim at once: one is first, and all are told the same. Slow.

The processes are this file: they say on a line what they did.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[3]))

import pytest

from langgraph_guard import RedisBackend
from langgraph_guard._redis import RedisLink
from langgraph_guard.policies.approval.chain import verify
from langgraph_guard.policies.approval.commands import Trail
from langgraph_guard.policies.outbox import Claim, Claimed, Done
from langgraph_guard.testing.contracts.approvals.harness import KEY, TENANT, decide, request
from tests.servers.redis import RedisServer

pytestmark = pytest.mark.slow

PROCESSES: Final = 4
TRIALS: Final = 100


def race(url: str, prefix: str, number: str) -> None:
    """Time and again, when all are there: decide, claim what may run, and do it. Says how each trial went."""
    with RedisBackend.from_url(url, prefix=prefix, deadline=60.0) as backend, RedisServerLink(url) as link:
        told = []
        for trial in range(TRIALS):
            if trial % 4 == 0:
                link.meet(f"{prefix}:{trial}")
            word = decide(f"r{number}", "approve" if int(number) % 2 else "reject", id=f"a{trial}")
            (decided,) = backend.desk.execute([word])
            key = KEY._replace(call_id=f"c{trial}")
            (found,) = backend.outbox.execute([Claim(key, number, approval=f"a{trial}", required=True)])
            if isinstance(found, Claimed):
                backend.outbox.execute([Done(key, found.fence, f"by {number}")])
            told.append((decided.won, decided.approval.decided_by, isinstance(found, Claimed)))  # type: ignore[union-attr]
    print(json.dumps(told), flush=True)


class RedisServerLink:
    """Where the processes wait for each other."""

    def __init__(self, url: str) -> None:
        self._link = RedisLink.from_url(url, deadline=60.0)

    def __enter__(self) -> RedisServerLink:
        return self

    def __exit__(self, *exc: object) -> None:
        self._link.close()

    def meet(self, place: str) -> None:
        """Go on when all are there."""
        (there,) = self._link.execute([("INCR", f"meet:{place}")])
        while there < PROCESSES:
            there = int(self._link.execute([("GET", f"meet:{place}")])[0])


def test_of_four_processes_one_decides_and_one_does_it(redis_server: RedisServer, prefix: str) -> None:
    """A hundred times, approve against reject: what was rejected first never runs, what was approved runs once."""
    with RedisBackend.from_url(redis_server.url, prefix=prefix, deadline=60.0) as backend:
        backend.desk.execute([request(f"a{trial}", call_id=f"c{trial}") for trial in range(TRIALS)])
        command = [sys.executable, __file__, redis_server.url, prefix]
        all_of_them = [
            subprocess.Popen([*command, str(number)], stdout=subprocess.PIPE, text=True) for number in range(PROCESSES)
        ]
        told = [json.loads(each.communicate(timeout=300)[0]) for each in all_of_them]
        (trail,) = backend.desk.execute([Trail(TENANT, count=10_000)])
    kinds: list[str] = [deed.kind for deed in trail.deeds]  # type: ignore[union-attr]
    assert verify(trail.deeds, trail.head) is None  # type: ignore[union-attr]
    assert all(_is_sound([each[trial] for each in told]) for trial in range(TRIALS))
    assert kinds.count("approved") + kinds.count("rejected") == TRIALS
    assert kinds.count("started") == kinds.count("done") == kinds.count("approved")


def _is_sound(told: list[Any]) -> bool:
    """One word won, all know whose it was, and the call began once if it was an approval's."""
    won, by, began = zip(*told, strict=True)
    ((winner,),) = {tuple(each) for each in by}
    return sum(won) == 1 and won[int(winner[1:])] and sum(began) <= int(winner[1:]) % 2


if __name__ == "__main__":
    race(*sys.argv[1:])
