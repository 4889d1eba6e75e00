"""The tree of a run: what a stranger sees at a glance, whatever the names in it are."""

from __future__ import annotations

import re
import sys
from typing import Any

import pytest

from langgraph_guard.observability import tree
from langgraph_guard.observability.steps import Step
from tests.observability.stepped import recorded


def step(number: int, **fields: Any) -> Step:
    """A record; below the run, unless it says otherwise."""
    said: dict[str, Any] = {"kind": "node", "name": f"node-{number}", "parent_id": "0" if number else None, **fields}
    return Step(ts=float(number), **{"trace_id": "trace", "thread_id": "t-1", "id": str(number), **said})


def run(**fields: Any) -> Step:
    """What all others stand below."""
    return step(0, kind="run", name="agent", **fields)


def lines(*steps: Step, quiet: bool = False) -> list[str]:
    """The tree, without its guides."""
    return [line.lstrip("│├└─ ") for line in tree.text(steps, quiet=quiet).splitlines()]


def test_a_run_and_its_resume_are_one_tree() -> None:
    """The whole of what the recorder saw of it, drawn once."""
    drawn = re.sub(r"[\d.]+ ms", "… ms", tree.text(recorded(guard_trace_id="a" * 32)))
    assert drawn == (
        "Trace: t-1 (5,230 tokens, $0.0140, 24 steps)\n"
        "├── ⏸ run LangGraph [… ms]\n"
        "│   ├── ✓ model [… ms]\n"
        "│   │   └── ✓ chain.call_model [… ms]\n"
        "│   │       └── ✓ llm.gpt-4o [… ms, 1,050 tokens, $0.0030]\n"
        "│   ├── ✓ tools [… ms]\n"
        "│   │   └── ✗ tool.look_up [… ms, TimeoutError: upstream timed out with [redacted]]\n"
        "│   ├── ✓ model [… ms]\n"
        "│   │   └── ✓ chain.call_model [… ms]\n"
        "│   │       └── ✓ llm.gpt-4o [… ms, 1,240 tokens, $0.0034]\n"
        "│   ├── ✓ tools [… ms]\n"
        "│   │   └── ✓ tool.look_up [… ms]\n"
        "│   ├── ✓ model [… ms]\n"
        "│   │   └── ✓ chain.call_model [… ms]\n"
        "│   │       └── ✓ llm.gpt-4o [… ms, 1,430 tokens, $0.0038]\n"
        "│   ├── ⏸ tools [… ms]\n"
        "│   │   └── ⏸ tool.refund [… ms]\n"
        "│   └── ⏸ interrupt [waiting]\n"
        "└── ✓ run LangGraph [… ms]\n"
        "    ├── ✓ resume\n"
        "    ├── ✓ tools [… ms]\n"
        "    │   └── ✓ tool.refund [… ms]\n"
        "    └── ✓ model [… ms]\n"
        "        └── ✓ chain.call_model [… ms]\n"
        "            └── ✓ llm.gpt-4o [… ms, 1,510 tokens, $0.0039]"
    )


def test_a_resume_with_a_trace_of_its_own_joins_the_run_that_it_goes_on_with() -> None:
    """Another process answered, and nobody told it the trace: the thread tells."""
    assert [line for line in lines(*recorded()) if line.startswith("Trace")] == [
        "Trace: t-1 (5,230 tokens, $0.0140, 24 steps)"
    ]


def test_a_new_question_is_a_tree_of_its_own() -> None:
    """Two turns of a thread are two stories, unless the first was left open."""
    second = step(9, kind="run", name="agent", trace_id="other", parent_id=None)
    assert lines(run(), second).count("✓ run agent") == 2
    assert len([line for line in lines(run(), second) if line.startswith("Trace")]) == 2


@pytest.mark.parametrize(
    ("name", "status", "said", "line"),
    [
        (
            "breaker.transition",
            "trip",
            {"key": "search", "before": "closed", "after": "open", "retry_at": 1_780_970_430_000},
            "✗ guard.breaker.transition [trip, search: closed → open, next try at 2026-06-09 02:00:30Z]",
        ),
        (
            "breaker.refused",
            "block",
            {"key": "search", "state": "open", "retry_after": 29.6},
            "✗ guard.breaker.refused [block, search is open, again in 30 s]",
        ),
        (
            "budget.verdict",
            "warn",
            {"route": "warn", "unit": "usd", "scope": "session", "limit": 500_000, "spent": 380_000, "window": None},
            "! guard.budget.verdict [warn, 0.38 USD of 0.50 USD per session]",
        ),
        (
            "budget.denied",
            "block",
            {"unit": "usd", "scope": "user", "window": "day", "limit": 100, "spent": 90, "requested": 20},
            "✗ guard.budget.denied [block, 0.00009 USD of 0.0001 USD per user per day, 0.00002 USD asked for]",
        ),
        (
            "loop.found",
            "warn",
            {"kind": "identical", "tool": "search", "count": 3, "rung": "nudge"},
            "! guard.loop.found [warn, identical call of search, 3 times → nudge]",
        ),
        ("tool.cleaned", "warn", {"v": 1, "tool": "t", "count": 2}, "! guard.tool.cleaned [warn, tool t, count 2]"),
        ("breaker.refused", "block", {"of": "later"}, "✗ guard.breaker.refused [block, of later]"),
        ("some.thing", "allow", {}, "✓ guard.some.thing [allow]"),
    ],
    ids=["opened", "refused", "warned", "denied", "loop", "plain", "of another version", "unknown"],
)
def test_what_a_guard_said_reads_as_a_sentence(name: str, status: Any, said: dict[str, Any], line: str) -> None:
    """Which limit, which circuit, until when: what a person asks first."""
    assert lines(run(), step(1, kind="guard", name=name, status=status, attrs=said))[2] == line


def test_the_head_of_a_run_says_how_it_ended() -> None:
    """Who reads one line knows."""
    assert lines(run(attrs={"ended": "circuit_open"}, duration_ms=1_234.5))[1] == (
        "✓ run agent [1,234 ms, ended: circuit_open]"
    )


def test_a_quiet_tree_leaves_out_nodes_in_which_nothing_is_to_be_seen() -> None:
    """A gate that let everything through, five times; one that raised stays."""
    tool = step(3, kind="tool", name="search", parent_id="2")
    drawn = lines(run(), step(1), step(2), tool, step(4, status="error"), quiet=True)
    assert drawn[1:] == ["✓ run agent", "✓ node-2", "✓ tool.search", "✗ node-4 [error]"]


def test_a_step_whose_run_is_not_there_is_drawn_all_the_same() -> None:
    """The run goes on, or its record was dropped."""
    assert lines(step(1), step(2))[1:] == ["✓ node-1", "✓ node-2"]


def test_nothing_that_is_shown_moves_the_cursor() -> None:
    """Names come from models, errors from the world: colours, direction marks and line ends are written out."""
    nasty = "a\x1b[31m\r\n\u202eb[bold]c[/bold]"
    drawn = tree.text(
        [run(thread_id=nasty), step(1, kind="tool", name=nasty, status="error", error=nasty, error_type=nasty)]
    )
    assert re.findall(r"[\x00-\x09\x0b-\x1f\x7f\u202a-\u202e\u2066-\u2069]", drawn) == []
    assert drawn.count("\\x1b[31m\\r\\n\\u202eb[bold]c[/bold]") == 4


@pytest.mark.parametrize("score", [0, False, 0.5, "bad"], ids=repr)
def test_a_verdict_is_shown_with_what_was_said_to_it(score: Any) -> None:
    """The worst of them is a zero, and must not read as a step that went well."""
    verdict = step(1, kind="feedback", name="user-feedback", result="too late", attrs={"score": score})
    assert lines(run(), verdict)[-1] == f"✓ feedback.user-feedback [score {score}, too late]"


def test_the_text_is_returned_in_a_notebook_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """There, rich shows by itself what it is told to print, and hands back nothing."""
    monkeypatch.setattr("rich.console._is_jupyter", lambda: True)
    assert lines(run())[-1] == "✓ run agent"


def test_a_long_text_is_cut() -> None:
    """A line is a line."""
    assert max(map(len, lines(run(), step(1, status="error", error="x" * 10_000)))) < 200


def test_runs_that_nest_deeper_than_python_does_are_drawn() -> None:
    """Agents that call agents: a picture of them must not overflow."""
    deep = sys.getrecursionlimit() // 4
    chain = [step(number, parent_id=str(number - 1)) for number in range(1, deep)]
    (found,) = tree.traces([run(), *chain])
    assert tree.drawn(found).children


def test_steps_come_in_the_order_in_which_they_began() -> None:
    """A file has them in the order in which they ended."""
    assert lines(step(2), step(1), run())[1:] == ["✓ run agent", "✓ node-1", "✓ node-2"]


@pytest.mark.parametrize(
    ("micro", "shown"),
    [(0, "$0.0000"), (50, "$0.000050"), (4_900, "$0.0049"), (1_234_567_890, "$1,234.57")],
    ids=["nothing", "half a cent of a cent", "half a cent", "much"],
)
def test_money_has_the_digits_that_matter(micro: int, shown: str) -> None:
    """A call of a small model must not read as nothing."""
    assert tree.money(micro) == shown
