"""A process is killed around a payment, at an exact moment: what the next one does never pays a second time."""

from __future__ import annotations

import json
import signal
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from tests.nodes.paying import MOMENTS, Moment, Terms, Worker, arguments
from tests.servers.redis import RedisServer, redis_server

__all__ = ["redis_server"]

ROOT = Path(__file__).parents[2]
TOMORROW = 86_400.0
IN_DOUBT = "in doubt"
PAID = "paid 5"

OUTCOMES: dict[Moment, tuple[int, str]] = {
    "before_claim": (1, PAID),
    "after_claim": (0, IN_DOUBT),
    "after_effect": (1, IN_DOUBT),
    "after_done": (1, PAID),
}
"""How often it was paid when somebody else has gone on, and what they are told."""


@pytest.fixture
def terms(request: pytest.FixtureRequest, tmp_path: Path) -> Terms:
    """Of a process that lives, with its checkpoints, its desk and its outbox in a file, or on a server."""
    return Terms(store_of(request, tmp_path), str(tmp_path / "payments"))


def store_of(request: pytest.FixtureRequest, folder: Path) -> str:
    """Where they are."""
    if getattr(request, "param", "sqlite") == "sqlite":
        return str(folder / "shared")
    server: RedisServer = request.getfixturevalue("redis_server")
    server.flush()
    return server.url


def killed(terms: Terms, moment: Moment) -> None:
    """Ask, and have a process answer that dies at the moment."""
    Worker(terms).ask("t")
    job = json.dumps({"thread": "t", "answer": True}) + "\n"
    child = subprocess.run(
        arguments(replace(terms, dies=moment)), cwd=ROOT, input=job, capture_output=True, text=True, check=False
    )
    assert child.returncode == -signal.SIGKILL, child.stderr


slow = pytest.mark.slow
KILLS = [
    pytest.param(
        store,
        moment,
        durability,
        is_async,
        marks=() if durability == "sync" and not is_async and (store == "sqlite" or moment == "after_effect") else slow,
        id=f"{store}-{moment}-{durability}-{'ainvoke' if is_async else 'invoke'}",
    )
    for store in ("sqlite", "redis")
    for moment in MOMENTS
    for durability in ("sync", "async", "exit")
    for is_async in (False, True)
]


@pytest.mark.parametrize(("terms", "moment", "durability", "is_async"), KILLS, indirect=["terms"])
def test_a_killed_process_leaves_one_payment_or_a_doubt(
    terms: Terms, moment: Moment, durability: str, is_async: bool
) -> None:
    """The lease of whoever died is over by tomorrow; whoever goes on pays, is in doubt, or has the stored result."""
    killed(replace(terms, durability=durability, is_async=is_async), moment)
    other = Worker(replace(terms, later=TOMORROW))
    (told,) = other.recover("t")
    payments, words = OUTCOMES[moment]
    assert other.paid("t") == payments
    assert words in told
