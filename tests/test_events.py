"""Events: one schema, and nothing that listens can stop what it listens to."""

from __future__ import annotations

import ast
import gc
import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

import langgraph_guard
from langgraph_guard import events
from langgraph_guard.events import SCHEMA, VERSION, emit, listening, subscribe

PACKAGE = Path(langgraph_guard.__file__).parent


@pytest.fixture
def heard() -> Iterator[list[tuple[str, dict[str, Any]]]]:
    """What was said while the test ran."""
    said: list[tuple[str, dict[str, Any]]] = []
    stop = subscribe(lambda name, attributes: said.append((name, dict(attributes))))
    yield said
    stop()


def test_the_schema_is_pinned() -> None:
    """Dashboards are built on these names: a change is a decision, and renaming one raises VERSION."""
    assert VERSION == 1
    assert dict(SCHEMA) == {
        "budget.verdict": ("guard", "route", "unit", "scope", "window", "limit", "spent", "reserved"),
        "budget.reserved": (
            "guard",
            "reservation",
            "call",
            "model",
            "provider",
            "usd",
            "tokens",
            "capped",
            "price_version",
        ),
        "budget.settled": (
            "guard",
            "reservation",
            "call",
            "model",
            "provider",
            "usd",
            "tokens",
            "outcome",
            "overrun",
            "price_version",
        ),
        "budget.released": ("guard", "reservation", "outcome"),
        "budget.denied": ("guard", "unit", "scope", "window", "limit", "spent", "reserved", "requested", "retry_after"),
        "budget.waited": ("guard", "unit", "scope", "window", "seconds"),
        "budget.away": ("backend",),
        "budget.back": ("seconds", "charged", "lost"),
        "loop.found": ("guard", "kind", "tool", "count", "rung"),
        "breaker.transition": ("breaker", "key", "before", "after", "reason", "retry_at"),
        "breaker.refused": ("breaker", "key", "state", "retry_after"),
        "breaker.registry": ("breaker", "reachable", "error"),
        "approval.asked": ("guard", "tool", "quorum"),
        "approval.decided": ("guard", "tool", "decision", "quorum", "seconds"),
        "approval.expired": ("guard", "tool"),
        "effect.claimed": ("tool", "attempt"),
        "effect.ended": ("tool", "state"),
        "effect.found": ("tool", "state"),
        "effect.refused": ("tool", "reason"),
        "tool.answered": ("tool", "status", "error_type", "attempts", "seconds"),
        "tool.retried": ("tool", "attempt", "pause", "error_type"),
        "tool.replayed": ("tool", "status"),
        "tool.cleaned": ("tool", "kinds", "count"),
        "tool.offloaded": ("tool", "chars", "shown"),
        "context.repaired": ("guard", "answers", "calls"),
        "context.compacted": (
            "guard",
            "mode",
            "before",
            "after",
            "limit",
            "messages",
            "results",
            "arguments",
            "by",
            "calls",
        ),
        "context.fallback": ("guard", "reason", "calls"),
        "context.halted": ("guard", "limit", "room", "needed"),
        "run.finished": ("guard", "status", "closed_calls", "by_model"),
    }


def _emitted() -> list[tuple[str, str, list[str]]]:
    """Every call of `emit` in the package: where, the event's name, its attributes."""
    found = []
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and _name(node.func) == "emit":
                where = f"{path.relative_to(PACKAGE)}:{node.lineno}"
                assert len(node.args) == 1, f"{where}: attributes go by name"
                assert isinstance(node.args[0], ast.Constant), f"{where}: the event's name is written out"
                found.append((where, str(node.args[0].value), [word.arg or "**" for word in node.keywords]))
    return found


def _name(function: ast.expr) -> str:
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def test_what_is_emitted_is_in_the_schema() -> None:
    """An event that nobody declared reaches dashboards that cannot read it; a missing attribute breaks them."""
    emitted = _emitted()
    assert emitted
    assert [call for call in emitted if sorted(call[2]) != sorted(SCHEMA.get(call[1], ()))] == []


def test_what_is_in_the_schema_is_emitted() -> None:
    """A promise that nothing keeps is worse than none."""
    assert {name for _, name, _ in _emitted()} == set(SCHEMA)


def test_nothing_happens_while_nobody_listens() -> None:
    """Most programs never listen; they must not pay, and nothing may be kept for later."""
    gc.collect()  # What another test dropped listens until it is collected.
    assert not listening()
    emit("budget.released", guard="g", reservation="r", outcome="refused")
    assert not listening()


def test_a_listener_hears_what_is_said(heard: list[tuple[str, dict[str, Any]]]) -> None:
    """Name and attributes, as emitted."""
    assert listening()
    emit("budget.released", guard="g", reservation="r", outcome="refused")
    assert heard == [("budget.released", {"guard": "g", "reservation": "r", "outcome": "refused"})]


def test_listeners_hear_in_the_order_in_which_they_came() -> None:
    """A journal that is subscribed first has written before an exporter may block."""
    order: list[int] = []
    stops = [subscribe(lambda name, attributes, at=at: order.append(at)) for at in range(3)]  # type: ignore[misc]
    emit("run.finished")
    for stop in stops:
        stop()
    assert order == [0, 1, 2]


def test_a_listener_that_fails_is_ignored(
    heard: list[tuple[str, dict[str, Any]]], caplog: pytest.LogCaptureFixture
) -> None:
    """Observability may degrade; a healthy run may not fail for it. The log says which event it was, and where it was
    raised: no figures, and nothing that the listener says, which may quote what it was told."""

    def broken(name: str, attributes: Mapping[str, Any]) -> None:
        raise ValueError("exporter" + " is down")

    stop = subscribe(broken)
    after: list[str] = []
    stop_after = subscribe(lambda name, attributes: after.append(name))
    with caplog.at_level(logging.WARNING, logger=events.__name__):
        emit("run.finished", guard="a-guard")
    stop()
    stop_after()

    assert [name for name, _ in heard] == after == ["run.finished"]
    told = [record.getMessage() for record in caplog.records if record.name == events.__name__]
    assert [each.partition("\n")[0] for each in told] == ["a listener failed on run.finished: ValueError"]
    assert f'File "{__file__}"' in told[0]
    assert "a-guard" not in caplog.text
    assert "exporter is down" not in caplog.text


def test_a_listener_that_goes_on_failing_is_told_once_for_each_kind(caplog: pytest.LogCaptureFixture) -> None:
    """Guards speak many times a second: a log that is full of one traceback hides all others."""
    errors = iter([ValueError(), ValueError(), KeyError(), ValueError()])

    def broken(name: str, attributes: Mapping[str, Any]) -> None:
        raise next(errors)

    stop = subscribe(broken)
    with caplog.at_level(logging.WARNING, logger=events.__name__):
        for _ in range(4):
            emit("run.finished")
    stop()
    said = [record.getMessage().partition("\n")[0] for record in caplog.records if record.name == events.__name__]
    assert said == ["a listener failed on run.finished: ValueError", "a listener failed on run.finished: KeyError"]


def test_ctrl_c_in_a_listener_is_not_swallowed() -> None:
    """Whoever stops the program means the program."""

    def interrupted(name: str, attributes: Mapping[str, Any]) -> None:
        raise KeyboardInterrupt

    stop = subscribe(interrupted)
    try:
        with pytest.raises(KeyboardInterrupt):
            emit("run.finished")
    finally:
        stop()


def test_whoever_stops_listening_hears_nothing_more(heard: list[tuple[str, dict[str, Any]]]) -> None:
    """Stopping twice is fine: contexts are left twice when things go wrong."""
    said: list[str] = []
    stop = subscribe(lambda name, attributes: said.append(name))
    emit("run.finished")
    stop()
    stop()
    emit("run.finished")
    assert (len(said), len(heard)) == (1, 2)


def test_a_listener_may_stop_while_it_listens() -> None:
    """One-shot listeners take themselves off; the others must not miss the event."""
    said: list[str] = []

    def once(name: str, attributes: Mapping[str, Any]) -> None:
        said.append("once")
        stop_once()

    stop_once = subscribe(once)
    stop = subscribe(lambda name, attributes: said.append("other"))
    emit("run.finished")
    emit("run.finished")
    stop()
    assert said == ["once", "other", "other"]


def test_subscriptions_of_one_listener_end_one_by_one() -> None:
    """Two graphs may share an exporter; closing one must not silence the other."""
    said: list[str] = []

    def exporter(name: str, attributes: Mapping[str, Any]) -> None:
        said.append(name)

    stop_one, stop_other = subscribe(exporter), subscribe(exporter)
    stop_one()
    emit("run.finished")
    stop_other()
    emit("run.finished")
    assert said == ["run.finished"]
