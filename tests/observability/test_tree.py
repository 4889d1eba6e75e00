"""The tree of a run: what a stranger sees at a glance, whatever the names in it are."""

from __future__ import annotations

import re
import sys
from typing import Any

import pytest

from langgraph_guard.events import SCHEMA
from langgraph_guard.observability import tree
from langgraph_guard.observability.steps import Step
from langgraph_guard.observability.steps.guards import status_of
from langgraph_guard.observability.steps.step import CHARGED
from langgraph_guard.observability.words import words
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
        "Trace: t-1 (5,230 tokens, $0.0140, 24 steps, 1 tool call failed)\n"
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
        "Trace: t-1 (5,230 tokens, $0.0140, 24 steps, 1 tool call failed)"
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
        ("some.thing", "warn", {"v": 1, "tool": "t", "count": 2}, "! guard.some.thing [warn, tool t, count 2]"),
        ("breaker.refused", "block", {"of": "later"}, "✗ guard.breaker.refused [block, of later]"),
        ("some.thing", "allow", {}, "✓ guard.some.thing [allow]"),
    ],
    ids=["opened", "refused", "warned", "denied", "loop", "plain", "of another version", "unknown"],
)
def test_what_a_guard_said_reads_as_a_sentence(name: str, status: Any, said: dict[str, Any], line: str) -> None:
    """Which limit, which circuit, until when: what a person asks first."""
    assert lines(run(), step(1, kind="guard", name=name, status=status, attrs=said))[2] == line


SAID: dict[str, tuple[Any, dict[str, Any], str]] = {
    "approval.asked": ("waiting", {"tool": "refund", "quorum": 2}, "⏸ [waiting, refund waits for 2 people]"),
    "approval.decided": (
        "allow",
        {"tool": "charge_card", "decision": "approved", "quorum": 2, "seconds": 31.2},
        "✓ [charge_card approved by 2 of 2 after 31 s]",
    ),
    "approval.expired": ("block", {"tool": "refund"}, "✗ [block, refund: nobody decided in time, not run]"),
    "effect.claimed": (
        "allow",
        {"tool": "charge_card", "attempt": 1},
        "✓ [charge_card: written down before it runs, so that it runs once]",
    ),
    "effect.ended": (
        "block",
        {"tool": "charge_card", "state": "in_doubt"},
        "✗ [block, charge_card: in doubt: it began, and nobody knows whether it took effect]",
    ),
    "effect.found": (
        "allow",
        {"tool": "charge_card", "state": "done"},
        "✓ [charge_card: already done, its stored result was used]",
    ),
    "effect.refused": (
        "block",
        {"tool": "charge_card", "reason": "rejected"},
        "✗ [block, charge_card: was rejected, not run]",
    ),
    "breaker.transition": (
        "trip",
        {"key": "search", "before": "closed", "after": "open", "reason": "failure_rate"},
        "✗ [trip, search: closed → open, it failed too often]",
    ),
    "breaker.registry": (
        "warn",
        {"reachable": False, "error": "TimeoutError"},
        "! [warn, circuits are not reachable (TimeoutError): this process decides by itself]",
    ),
    "budget.waited": (
        "warn",
        {"unit": "model_calls", "scope": "user", "window": "minute", "seconds": 3.21},
        "! [warn, waited 3.2 s for room in model_calls per user per minute]",
    ),
    "budget.away": (
        "warn",
        {"backend": "redis"},
        "! [warn, the ledger (redis) does not answer: what its limits allow goes on by itself]",
    ),
    "budget.back": (
        "allow",
        {"seconds": 31.0, "charged": 4, "lost": 0},
        "✓ [the ledger answers again after 31 s, 4 calls charged late]",
    ),
    "tool.answered": (
        "block",
        {"tool": "search", "error_type": "validation", "status": "error"},
        "✗ [block, search, wrong arguments, not called]",
    ),
    "tool.replayed": (
        "allow",
        {"tool": "search", "status": "error"},
        "✗ [search: an error, answered from the recording]",
    ),
    "tool.cleaned": (
        "warn",
        {"tool": "search", "kinds": ["ansi", "bidi"], "count": 2},
        "! [warn, search: 2 hidden or suspicious parts in its result (ansi, bidi)]",
    ),
    "tool.offloaded": (
        "allow",
        {"tool": "search", "chars": 120_000, "shown": 900},
        "✓ [search: 120,000 characters put aside, the model reads 900]",
    ),
    "context.repaired": (
        "warn",
        {"answers": 1, "calls": 2},
        "! [warn, 1 answer without a call, 2 calls without an answer, put right]",
    ),
    "context.compacted": (
        "allow",
        {"before": 9_000, "after": 4_000, "limit": 8_000, "messages": 12, "by": "model"},
        "✓ [9,000 → 4,000 tokens of 8,000, 12 messages summed up, summary by model]",
    ),
    "context.fallback": ("warn", {"reason": "too_long"}, "! [warn, a summary without the model: too_long]"),
    "context.halted": (
        "block",
        {"needed": 9_000, "room": 7_000, "limit": 8_000},
        "✗ [block, what must stay takes 9,000 tokens, and 7,000 of 8,000 are there]",
    ),
}


@pytest.mark.parametrize("name", SAID)
def test_each_event_has_its_words(name: str) -> None:
    """At 2 a.m. nobody looks up what a field means."""
    status, said, line = SAID[name]
    mark, _, words = line.partition(" ")
    drawn = lines(run(), step(1, kind="guard", name=name, status=status, attrs={"guard": "g", **said}))
    assert drawn[2] == f"{mark} guard.{name} {words}"


PLAUSIBLE: dict[str, Any] = {
    **dict.fromkeys(("limit", "spent", "reserved", "requested", "count", "quorum", "attempt", "chars", "shown"), 2),
    **dict.fromkeys(("before", "after", "messages", "answers", "calls", "needed", "room", "charged", "lost"), 3),
    **dict.fromkeys(("seconds", "pause", "retry_after"), 4.0),
    **dict.fromkeys(("route", "scope", "state", "reason", "kind", "rung", "status", "decision", "error_type"), "word"),
    "unit": "usd",
    "window": "day",
    "retry_at": 1_780_970_430_000,
    "kinds": ["bidi"],
    "reachable": True,
    "closed_calls": 1,
    "by_model": True,
}


@pytest.mark.parametrize("event", [each for each in SCHEMA if each not in ("budget.reserved", "budget.released")])
def test_every_event_that_gets_a_record_has_words(event: str) -> None:
    """A new event without them reads as a row of fields. Two are parts of a model call's record, and have none."""
    assert words(event, {name: PLAUSIBLE.get(name, "name") for name in SCHEMA[event]})


def test_figures_that_the_provider_did_not_tell_are_marked() -> None:
    """They are what the ledger held for the call: an upper bound must not read as what was used."""
    said: dict[str, Any] = {"kind": "llm", "name": "gpt-4o", "cost_micro_usd": 900}
    lost = step(1, **said, status="error", error_type="TimeoutError", error="no answer", attrs={CHARGED: 120})
    known = step(2, **said, input_tokens=100, output_tokens=20)
    assert lines(run(), lost, known)[2:] == [
        "✗ llm.gpt-4o [120 tokens, $0.0009, charged as reserved, TimeoutError: no answer]",
        "✓ llm.gpt-4o [120 tokens, $0.0009]",
    ]


def test_an_execution_in_doubt_is_not_drawn_as_one_that_went_well() -> None:
    """Nobody knows whether the card was charged: the mark says so before anybody has read a word."""
    said = {"tool": "charge", "state": "in_doubt"}
    status = status_of("effect.found", said)
    assert status is not None
    found = step(1, kind="guard", name="effect.found", status=status, attrs=said)
    assert lines(run(), found)[2] == "✗ guard.effect.found [block, charge: in doubt, not run again]"


def answered(number: int, tool: str, error_type: str | None) -> Step:
    """A guard's own answer to a call."""
    said = {"tool": tool, "status": "error", "error_type": error_type}
    return step(number, kind="guard", name="tool.answered", status="block", attrs=said)


def event(number: int, name: str, **said: Any) -> Step:
    """What a guard said before it."""
    return step(number, kind="guard", name=name, status="block", attrs=said)


@pytest.mark.parametrize(
    ("told", "kind"),
    [
        (event(1, "breaker.refused", key="orders", state="open"), "circuit_open"),
        (event(1, "effect.refused", tool="search", reason="nobody"), "denied"),
        (event(1, "effect.found", tool="search", state="in_doubt"), "timeout"),
        (event(1, "tool.replayed", tool="search", status="error"), None),
    ],
    ids=["circuit", "approval", "outbox", "replay"],
)
def test_a_call_that_was_not_made_is_told_once(told: Step, kind: str | None) -> None:
    """The reason and the answer are two records, and one story."""
    drawn = lines(run(), told, answered(2, "search", kind))
    assert [line.split(" ")[1] for line in drawn[2:]] == [f"guard.{told.name}"]


def test_what_no_other_event_tells_stays() -> None:
    """Three calls of a batch are refused, and the reason of two is told before: the third is not lost."""
    refused = [event(number, "breaker.refused", key="orders", state="open") for number in (1, 2)]
    drawn = lines(run(), *refused, *(answered(number, "search", "circuit_open") for number in (3, 4, 5)))
    assert len(drawn[2:]) == 3


def test_a_long_log_is_looked_through_once() -> None:
    """Ten thousand refused calls are what this is for: twice the log is twice the work, and not four times."""
    assert work(400) < 3 * work(200)


def work(count: int) -> int:
    """Functions called to find what is told twice in a log of so many warnings, refused calls and their answers."""
    warned = [event(number, "loop.found", tool="search") for number in range(count)]
    refused = [event(number, "breaker.refused", key="orders") for number in range(count, 2 * count)]
    replies = [answered(number, "search", "circuit_open") for number in range(2 * count, 3 * count)]
    called = []
    before = sys.getprofile()
    sys.setprofile(lambda frame, what, value: called.append(what) if what == "call" else None)
    try:
        found = tree.told_twice([*warned, *refused, *replies])
    finally:
        sys.setprofile(before)
    assert len(found) == count
    return len(called)


def test_an_answer_to_another_tool_stays() -> None:
    """It only came at the same time."""
    drawn = lines(run(), event(1, "effect.refused", tool="send", reason="open"), answered(2, "search", "denied"))
    assert len(drawn[2:]) == 2


def test_the_first_line_says_what_went_wrong() -> None:
    """Three time-outs and a circuit: who reads no further knows where to look."""
    failed = [step(number, kind="tool", name="search", status="error") for number in (1, 2, 3)]
    opened = step(4, kind="guard", name="breaker.transition", status="trip", attrs={})
    assert lines(run(), *failed, opened)[0] == "Trace: t-1 (0 tokens, 5 steps, 3 tool calls failed, 1 circuit opened)"


def test_the_end_of_a_run_is_told_in_words() -> None:
    """What it ended by, and who wrote the answer that somebody got."""
    said = {"status": "circuit_open", "by_model": True, "closed_calls": 2}
    finished = step(1, kind="guard", name="run.finished", status="warn", attrs=said)
    assert lines(run(), finished)[2] == (
        "! guard.run.finished [warn, ended: circuit_open, answer written by a model, 2 open calls closed]"
    )


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
