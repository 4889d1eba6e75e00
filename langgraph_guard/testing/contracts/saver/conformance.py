"""Conformance: LangGraph's own suite, every capability by name, through both kinds of methods and in strict mode."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from typing import Any, ClassVar, Final

import pytest
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import BaseCheckpointSaver, CheckpointTuple
from langgraph.checkpoint.conformance import validate
from langgraph.checkpoint.conformance.capabilities import Capability
from langgraph.checkpoint.conformance.initializer import RegisteredCheckpointer

from langgraph_guard.testing.contracts.saver.harness import WAYS, Harness, Saver, Way

CAPABILITIES: Final = frozenset(
    {"put", "put_writes", "get_tuple", "list", "delete_thread", "delete_for_runs", "copy_thread", "prune"}
)
"""What conformance 0.0.2 looks for; it says FULL of a saver that has five of them, so each is asked for by name."""

IN_STRICT_MODE: Final = "langgraphs_conformance or own_types or allowed_later or agent_with_tools or subgraphs_ask"
"""Which tests every run repeats in a process in strict mode; the slow run repeats them all."""

TIME_FOR_A_PROCESS: Final = 290.0


class Conformance(Harness):
    """What LangGraph asks of a saver."""

    capabilities: ClassVar[frozenset[str]] = CAPABILITIES
    """A saver that leaves some out says so here."""

    @pytest.mark.parametrize("way", WAYS)
    def test_langgraphs_conformance_suite_finds_and_passes_every_capability(self, way: Way) -> None:
        """The suite calls async methods only; bridged to the sync ones, it judges those as well."""
        report = asyncio.run(validate(RegisteredCheckpointer(type(self).__name__, self._fresh(way))))
        failures = [failure for result in report.results.values() for failure in result.failures]
        assert failures == []
        assert {name for name, result in report.results.items() if result.detected and result.passed} == (
            self.capabilities
        )

    def test_the_suite_has_no_capability_that_this_contract_does_not_know(self) -> None:
        """A later release that looks for more must not be passed by not being asked."""
        assert {each.value for each in Capability} >= CAPABILITIES
        assert {each.value for each in Capability} - CAPABILITIES <= {"delta_channel_history"}

    @pytest.mark.timeout(300)
    def test_conformance_and_graphs_hold_in_strict_mode(self, request: pytest.FixtureRequest) -> None:
        """`LANGGRAPH_STRICT_MSGPACK` is read when LangGraph is imported, so this takes a process of its own."""
        outcome = _strictly(request, IN_STRICT_MODE)
        assert outcome.returncode == 0, outcome.stdout + outcome.stderr
        assert " passed" in outcome.stdout

    @pytest.mark.slow
    @pytest.mark.timeout(900)
    def test_the_whole_contract_holds_in_strict_mode(self, request: pytest.FixtureRequest) -> None:
        """Serializers are made anew in strict mode; whatever keeps an old one would show somewhere."""
        outcome = _strictly(request, "not strict_mode", time=800.0)
        assert outcome.returncode == 0, outcome.stdout + outcome.stderr

    def _fresh(self, way: Way) -> Callable[[], AsyncGenerator[Saver, None]]:
        async def make() -> AsyncGenerator[Saver, None]:
            saver = self.make_saver()
            yield saver if way == "async" else _bridged(saver)
            await self.aclose(saver)
            self.close(saver)

        return make


def _strictly(request: pytest.FixtureRequest, which: str, time: float = TIME_FOR_A_PROCESS) -> Any:
    """Run tests of the same class in a process in strict mode."""
    assert request.cls is not None
    where = f"{request.node.path}::{request.cls.__name__}"
    # By name, not by mark: of a class that is slow as a whole, nothing would be left.
    chosen = " and not ".join([f"({which})", *_slow_tests(request.cls)])
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    return subprocess.run(  # noqa: S603 - our own tests
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", chosen, where],
        cwd=request.config.rootpath,
        env={**kept, "LANGGRAPH_STRICT_MSGPACK": "true"},
        capture_output=True,
        text=True,
        timeout=time,
        check=False,
    )


def _slow_tests(tests: type[Any]) -> list[str]:
    """The names of the tests that are slow each for itself."""
    named = {name: getattr(tests, name) for name in dir(tests) if name.startswith("test_")}
    return [
        name for name, test in named.items() if any(mark.name == "slow" for mark in getattr(test, "pytestmark", ()))
    ]


def _bridged(saver: Saver) -> Saver:
    """`saver` with async methods that call its sync ones; those it does not implement stay out of it."""
    methods = {
        f"a{name}": _awaitable(name)
        for name in CAPABILITIES - {"list"}
        if getattr(type(saver), name) is not getattr(BaseCheckpointSaver, name)
    }
    bridge = type("Bridged", (type(saver),), {**methods, "alist": _alist})
    clone: Saver = object.__new__(bridge)
    clone.__dict__.update(saver.__dict__)
    return clone


def _awaitable(name: str) -> Callable[..., Any]:
    async def call(self: Saver, *args: Any, **terms: Any) -> Any:
        return getattr(self, name)(*args, **terms)

    return call


async def _alist(self: Saver, config: RunnableConfig | None, **terms: Any) -> AsyncIterator[CheckpointTuple]:
    found: Sequence[CheckpointTuple] = [*self.list(config, **terms)]
    for each in found:
        yield each
