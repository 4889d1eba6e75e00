"""The pieces of the demo: a service that hangs, a bill, a projection, a screen."""

from __future__ import annotations

import gc
import io
from typing import Any

import httpx
import pytest
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langgraph.prebuilt.tool_node import TOOL_CALL_ERROR_TEMPLATE
from rich.console import Console

from langgraph_guard import events
from langgraph_guard.cli.incident import ending, models, screen
from langgraph_guard.cli.incident.agents import LIMIT, guarded, unguarded
from langgraph_guard.cli.incident.orders import order_service, order_tool
from langgraph_guard.cli.incident.play import Run, play
from langgraph_guard.cli.incident.watch import priced, projected
from langgraph_guard.observability import tree
from langgraph_guard.observability.steps import Step
from langgraph_guard.prices import price_book
from langgraph_guard.tokens import loading

TIMED_OUT = TOOL_CALL_ERROR_TEMPLATE.format(error=repr(httpx.ReadTimeout("timed out")))
"""What the unguarded agent's model reads."""


def test_the_order_service_takes_the_request_and_never_answers() -> None:
    """A refused connection would be another incident: this one is about waiting."""
    with order_service() as url, order_tool(url) as tool, pytest.raises(httpx.ReadTimeout):
        tool.invoke({"order_id": "4711"})


def played() -> Run:
    """The guarded agent, played to its end."""
    with order_service() as url, order_tool(url) as tool:
        run = Run("with guards", guarded(tool), [])
        play([run], lambda: None)
    return run


@pytest.fixture(scope="module")
def guarded_run() -> Run:
    """One for all who only look."""
    return played()


def taken(run: Run, kind: str) -> list[Step]:
    """Its steps of one kind."""
    assert run.steps is not None
    return sorted((step for step in run.steps if step.kind == kind), key=lambda step: step.ts)


def test_the_bill_of_the_demo_and_the_guards_own_agree(guarded_run: Run) -> None:
    """Two independent counts, the closing answer included: a demo that flatters its product would differ."""
    session = guarded_run.report.session
    watch = guarded_run.watch
    assert (session["usd"], session["tokens"], session["model_calls"]) == (watch.spent, watch.tokens, watch.model_calls)
    assert watch.spent <= LIMIT * 1_000_000


def test_the_steps_come_to_the_same_bill(guarded_run: Run) -> None:
    """The tree is another view of the run, not another run."""
    models_asked = taken(guarded_run, "llm")
    watch = guarded_run.watch
    assert tuple(step.cost_micro_usd for step in models_asked) == watch.costs
    assert sum(step.tokens for step in models_asked) == watch.tokens


def test_the_steps_tell_calls_that_were_made_from_the_one_that_was_not(guarded_run: Run) -> None:
    """Three requests left the machine; the fourth call was answered by a guard."""
    assert [step.error_type for step in taken(guarded_run, "tool")] == ["ReadTimeout"] * 3
    assert [(step.name, step.status) for step in taken(guarded_run, "guard")] == [
        ("loop.found", "warn"),
        ("breaker.transition", "trip"),
        ("breaker.refused", "block"),
        ("run.finished", "warn"),
    ]


def test_the_circuit_opens_in_the_step_of_the_third_time_out(guarded_run: Run) -> None:
    """Who reads the tree sees by which call it opened."""
    (opened,) = [step for step in taken(guarded_run, "guard") if step.name == "breaker.transition"]
    assert opened.parent_id == taken(guarded_run, "tool")[2].parent_id


def test_nobody_listens_when_the_steps_are_done() -> None:
    """A listener that is left behind costs every later run in the process."""
    gc.collect()  # What other tests left behind ends now, and not in between.
    before = events.listening()
    played()
    assert events.listening() == before


def test_the_night_is_the_same_whatever_a_machine_counts_with(
    guarded_run: Run, monkeypatch: pytest.MonkeyPatch, encodings: dict[str, Any]
) -> None:
    """Two people who compare their screens see one demo."""
    monkeypatch.setattr(loading, "_loaded", dict(encodings))
    run = played()
    assert run.answer.text == guarded_run.answer.text
    assert run.watch.costs == guarded_run.watch.costs


def test_the_breaker_ends_the_guarded_run(guarded_run: Run) -> None:
    """Money is the last line of defence; the service is left alone long before."""
    assert guarded_run.report.status == "circuit_open"
    assert guarded_run.watch.tool_calls == 3


def test_the_answer_counts_the_time_outs_that_happened(guarded_run: Run) -> None:
    """The closing model is scripted, its figures are not; the call that was refused is no time-out."""
    assert f"{guarded_run.watch.tool_calls} times" in guarded_run.answer.text


def test_a_stopped_run_ends_within_a_step() -> None:
    """Ctrl-C arrives in the main thread while both agents work in others."""

    def interrupt() -> None:
        raise KeyboardInterrupt

    with order_service() as url, order_tool(url) as tool:
        run = Run("no guard", unguarded(tool))
        with pytest.raises(KeyboardInterrupt):
            play([run], interrupt)
    assert run.ended == "stopped by the demo"
    assert run.watch.tool_calls < 50


def test_a_call_costs_what_openai_lists() -> None:
    """By hand, gpt-4o in micro-USD: 1,000 · 2.50 + 1,024 cached · 1.25 + 24 · 10."""
    usage: Any = {
        "input_tokens": 2_024,
        "output_tokens": 24,
        "total_tokens": 2_048,
        "input_token_details": {"cache_read": 1_024},
    }
    said = {"model_name": "gpt-4o", "model_provider": "openai"}
    message = AIMessage("", usage_metadata=usage, response_metadata=said)
    assert priced(message, price_book(None)) == (4_020, 2_048)


def test_a_projection_of_what_was_seen_is_what_was_paid() -> None:
    """No formula may contradict the measurement."""
    assert projected((10, 20, 30), 3) == 60
    assert projected((10, 20, 30), 2) == 30


def test_a_projection_goes_on_rising_as_seen() -> None:
    """5, 6, 7, 8 goes on with 9 and 10; a flat price stays flat."""
    assert projected((5, 6, 7, 8), 6) == 26 + 9 + 10
    assert projected((5, 5, 5, 5), 6) == 30


def test_the_projected_conversation_fits_the_models_window() -> None:
    """gpt-4o reads 128,000 tokens; beyond them the provider would have ended the loop, and the projection would lie."""
    question, loop = (
        HumanMessage("?"),
        [AIMessage(models.PENDING), ToolMessage(TIMED_OUT, tool_call_id="1")],
    )
    read = models.usage([question, *loop * ending.CALLS], [])["input_tokens"]
    assert read < 120_000


def test_the_prompt_cache_is_as_openai_describes_it() -> None:
    """Leaving it out would nearly double the unguarded bill."""
    short, long = HumanMessage("x" * 400), HumanMessage("x" * 40_000)
    tail = [AIMessage("a"), HumanMessage("b")]
    assert models.usage([short, *tail], [])["input_token_details"] == {"cache_read": 0}
    assert models.usage([long, *tail], [])["input_token_details"] == {"cache_read": 9_984}


@pytest.mark.parametrize("width", [60, 80, 120])
def test_both_agents_fit_side_by_side(guarded_run: Run, width: int) -> None:
    """Eighty columns are what a terminal has; at sixty nothing may be lost."""
    console = Console(file=io.StringIO(), width=width)
    console.print(screen.frame([guarded_run, guarded_run]))
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert text.count("model calls") == 2
    assert text.count(screen.money(guarded_run.watch.spent)) == 2
    assert max(map(len, text.splitlines())) <= width


@pytest.mark.parametrize("width", [60, 80, 120])
def test_the_tree_fits_the_terminal(guarded_run: Run, width: int) -> None:
    """A line that wraps in the wrong place is no tree."""
    console = Console(file=io.StringIO(), width=width)
    console.print(*tree.trees(guarded_run.steps or (), quiet=True))
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert text.count("ReadTimeout") == 3
    assert max(map(len, text.splitlines())) <= width


def test_money_has_the_digits_that_matter() -> None:
    """Half a cent must not read as nothing."""
    assert [screen.money(amount) for amount in (4_900, 49_312, 1_234_567_890)] == ["$0.0049", "$0.0493", "$1,234.57"]
