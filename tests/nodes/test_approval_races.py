"""Two people answer at once, in threads and in processes: one payment, and both are told the truth."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest

from tests.nodes.paying import Terms, Worker, arguments
from tests.servers.redis import RedisServer, redis_server

__all__ = ["redis_server"]

ROOT = Path(__file__).parents[2]
DURABILITIES = ["sync", "async", "exit"]
STORES = ["sqlite", "redis"]

BOTH = [pytest.param((True, True), id="approve+approve"), pytest.param((True, False), id="approve+reject")]

few = pytest.param(4, id="few")
many = pytest.param(100, id="many", marks=pytest.mark.slow)


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """What the two share."""
    if request.param == "sqlite":
        return str(tmp_path / "shared")
    server: RedisServer = request.getfixturevalue("redis_server")
    server.flush()
    return server.url


@pytest.fixture
def terms(store: str, tmp_path: Path) -> Terms:
    """Of a process that lives."""
    return Terms(store, str(tmp_path / "payments"))


def the_truth(worker: Worker, thread: str, one: list[str], two: list[str]) -> bool:
    """Whether it was paid once and both say so, or never and both say that it was rejected."""
    paid = worker.paid(thread)
    words = "paid 5" if paid else "rejected"
    return paid <= 1 and all(len(each) == 1 and words in each[0] for each in (one, two))


def finds_out(worker: Worker, thread: str, answers: tuple[bool, bool], one: list[str], two: list[str]) -> None:
    """Fails where a payment was made twice, or somebody is told what is not so."""
    assert the_truth(worker, thread, one, two), (one, two, worker.paid(thread))
    assert False in answers or one == two == ["paid 5"]


@pytest.mark.parametrize("times", [few, many])
@pytest.mark.parametrize("durability", DURABILITIES)
@pytest.mark.parametrize("answers", BOTH)
def test_two_answers_in_threads(terms: Terms, answers: tuple[bool, bool], durability: str, times: int) -> None:
    """Both press a button at the same moment. The stock pieces pay twice, and forget the reject."""
    worker = Worker(replace(terms, durability=durability))
    with ThreadPoolExecutor(2) as pool:
        for number in range(times):
            thread = f"t{number}"
            worker.ask(thread)
            start = Barrier(2)
            one, two = pool.map(partial(press, worker, thread, start), answers)
            finds_out(worker, thread, answers, one, two)


def press(worker: Worker, thread: str, start: Barrier, answer: bool) -> list[str]:
    """Answer when the other one is about to, too."""
    start.wait()
    return worker.resume(thread, answer)


@pytest.mark.parametrize(
    ("durability", "times"),
    [
        ("sync", 3),
        pytest.param("sync", 50, marks=pytest.mark.slow),
        pytest.param("async", 50, marks=pytest.mark.slow),
        pytest.param("exit", 50, marks=pytest.mark.slow),
    ],
)
@pytest.mark.parametrize("store", ["sqlite", pytest.param("redis", marks=pytest.mark.slow)], indirect=True)
@pytest.mark.parametrize("is_async", [False, True], ids=["invoke", "ainvoke"])
def test_two_answers_in_processes(terms: Terms, is_async: bool, durability: str, times: int) -> None:
    """On two servers behind one load balancer, in threads or on their event loops."""
    worker = Worker(terms)
    terms = replace(terms, is_async=is_async)
    with (
        process(replace(terms, durability=durability)) as left,
        process(replace(terms, durability=durability)) as right,
    ):
        for number in range(times):
            for answers in ((True, True), (True, False)):
                thread = f"t{number}-{answers[1]}"
                worker.ask(thread)
                for child, answer in zip((left, right), answers, strict=True):
                    child.stdin.write(json.dumps({"thread": thread, "answer": answer}) + "\n")
                    child.stdin.flush()
                one, two = (json.loads(child.stdout.readline()) for child in (left, right))
                finds_out(worker, thread, answers, one, two)


@contextmanager
def process(terms: Terms) -> Iterator[Any]:
    """A worker in a process of its own."""
    with subprocess.Popen(
        arguments(terms), cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdin
        assert child.stdout
        assert json.loads(child.stdout.readline()) == "ready"
        try:
            yield child
        finally:
            child.stdin.close()
            child.wait()
