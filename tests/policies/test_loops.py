"""The detectors: what is a circle, and above all what is none.

A turn is written as its rounds. `search:kites=none` is a call with its result, `!timeout` a failure; calls of one round
were asked for in parallel. The last round is the one that is asked for now.
"""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from langgraph_guard.policies.loops import KEPT_CALLS, Call, Finding, Limits, digests, find
from langgraph_guard.policies.loops.calls import MOST, POLLS
from langgraph_guard.policies.loops.detectors import DOWN
from langgraph_guard.tools.results.advice import ERROR_TYPES


def call(written: str, number: int) -> Call:
    """One call as it is written above."""
    asked, _, result = written.partition("=")
    tool, _, q = asked.partition(":")
    args = {"q": q.replace("_", " ")}
    return Call(
        number, tool, digests.exact(tool, args), digests.near(tool, args), digests.shape(tool, args), result or ""
    )


def turn(*rounds: str) -> tuple[list[Call], list[Call]]:
    """What was asked for before, and what is asked for now."""
    *before, now = [[call(each, at) for each in written.split()] for at, written in enumerate(rounds, 1)]
    return [each for walked in before for each in walked], now


def found(*rounds: str, **limits: Any) -> list[Finding]:
    """What the detectors say of a turn."""
    return find(*turn(*rounds), Limits(**limits))


def kinds(*rounds: str, **limits: Any) -> dict[str, int]:
    """What was found: kinds, and how often."""
    return {finding.kind: finding.count for finding in found(*rounds, **limits)}


def polls(*tools: str) -> Any:
    """Which tools are meant to be asked again and again."""
    return lambda tool: tool in tools


# What is a circle


def test_the_same_call_with_the_same_answer_is_one() -> None:
    """The incident: a tool that times out, asked again and again."""
    assert kinds("get:1=pending", "get:1=pending", "get:1") == {"identical": 3}
    assert kinds("get:1=pending", "get:1") == {}


def test_failures_of_a_type_are_the_same_answer() -> None:
    """A timeout after 5.01 s is as much an answer as one after 5.02 s."""
    assert kinds("get:1=!timeout", "get:1=!timeout", "get:1") == {"identical": 3}


def test_other_calls_in_between_do_not_hide_it() -> None:
    """A model that thinks aloud with another tool is in the same loop."""
    assert kinds("get:1=x", "a:1=1", "get:1=x", "b:1=2", "get:1") == {"identical": 3}


def test_copies_in_one_message_count_each() -> None:
    """Five at once are five calls, whatever their order."""
    assert kinds("get:1 get:2 get:1 get:1") == {"identical": 3}
    assert kinds("get:1=x get:1=x", "get:1") == {"identical": 3}


def test_results_that_nobody_saw_prove_nothing_new() -> None:
    """A host may keep results elsewhere, and a summary may take them away: then the arguments decide."""
    assert kinds("get:1", "get:1", "get:1") == {"identical": 3}
    assert kinds("get:1=x", "get:1", "get:1") == {"identical": 3}


@pytest.mark.parametrize("refusal", ["!denied", "!circuit_open"])
def test_an_answer_to_a_call_that_was_not_made_is_no_news(refusal: str) -> None:
    """A refusal would start the count anew, and the loop would go on behind it."""
    assert kinds("get:1=x", "get:1=x", f"get:1={refusal}", "get:1") == {"identical": 4}
    assert kinds("a:1=x", "b:1=y", "a:1=x", f"b:1={refusal}", "a:1", no_progress=None)["cycle"] == 3


def test_another_spelling_with_the_same_answer_is_one() -> None:
    """ "order 4711", "Order #4711": the model tries again without changing anything."""
    assert kinds("get:order_4711=none", "get:Order_#4711=none", "get:ORDER-4711") == {"similar": 3}
    assert kinds("get:order_4711=none", "get:Order_#4711=none", "get:order_4711") == {"similar": 3}


def test_a_cycle_is_found_as_its_round_begins() -> None:
    """Each call was answered as before: the agent goes between two tools, or three, or four."""
    one = {"a": 9, "b": 9, "c": 9, "d": 9}
    two = ["a:1=x", "b:1=y"]
    three = [*two, "c:1=z"]
    four = [*three, "d:1=w"]
    assert kinds(*two * 2, "a:1", no_progress=None) == {"cycle": 3, "identical": 3}
    assert kinds(*three * 2, "a:1", no_progress=None) == {"cycle": 3, "identical": 3}
    assert kinds(*four * 2, "a:1", no_progress=None) == {"cycle": 3, "identical": 3}
    assert kinds(*two * 2, no_progress=None) == {}
    assert kinds(*two * 8, "a:1", per_tool=one, no_progress=None) == {"cycle": 9, "identical": 9}


def test_a_cycle_names_all_of_its_tools() -> None:
    """To block the one of them that happens to be next would be half a measure."""
    (finding,) = found("a:1=x", "b:1=y", "a:1=x", "b:1=y", "a:1", repeats=3, no_progress=None)[:1]
    assert (finding.kind, finding.tools) == ("cycle", {"a", "b"})


def test_a_cycle_of_parallel_calls_is_one_in_any_order() -> None:
    """What is asked for at once has no order."""
    assert kinds("a:1=x b:1=y", "c:1=z", "b:1=y a:1=x", "c:1=z", "a:1 b:1", no_progress=None)["cycle"] == 3


def test_a_cycle_may_begin_after_other_calls() -> None:
    """The agent does its work first, and then gets stuck."""
    assert kinds("w:1=1", "w:2=2", "a:1=x", "b:1=y", "a:1=x", "b:1=y", "a:1", no_progress=None)["cycle"] == 3


def test_walking_in_ones_own_footsteps_is_a_circle_of_any_length() -> None:
    """Five tools in turn, or in any order: nothing here was not known."""
    five = [f"{tool}:1={tool}" for tool in "abcde"]
    assert kinds(*five, "c:1=c", "a:1=a", "e:1=e", "b:1=b", "d:1") == {"retrace": 5}
    assert kinds(*five, "c:1=c", "a:1=a", "e:1=e", "b:1") == {}


@pytest.mark.parametrize("failure", sorted(DOWN))
def test_a_tool_that_is_down_is_found_whatever_it_is_asked(failure: str) -> None:
    """Other arguments do not bring a service back."""
    rounds = [f"get:{word}={failure}" for word in ("kites", "dogs", "cats", "owls")]
    (finding,) = found(*rounds, "get:bees")
    assert (finding.kind, finding.count, finding.firm) == ("unchanged", 5, True)
    assert found(*rounds[1:], "get:bees") == []


def test_failures_that_say_nothing_of_the_arguments_are_known_types() -> None:
    """A type that ToolResult does not know would never match."""
    assert {f"!{error_type}" for error_type in ERROR_TYPES} > DOWN
    assert "!permanent" not in DOWN, "not found is an answer: which of ten names are free?"


def test_paging_past_the_end_is_found_later() -> None:
    """Numbers that count up with the same answer: five may be five orders, ten are one loop."""
    firm = {
        count: [f.firm for f in found(*(f"get:{at}=none" for at in range(1, count)), "get:99")] for count in range(12)
    }
    assert {count: each for count, each in firm.items() if each} == {5: [False], 10: [True], 11: [True]}


def test_the_same_answer_to_other_questions_is_worth_a_word_only() -> None:
    """Ten letters sent, ten times "sent": it may be how it should be."""
    words = ["ann", "bob", "cem", "dan", "eve", "fay", "gus", "hal", "ida", "jon", "kim"]
    rounds = [f"send:{word}=sent" for word in words]
    heard = {count: [f.firm for f in found(*rounds[: count - 1], "send:zoe")] for count in range(1, 12)}
    assert {count: each for count, each in heard.items() if each} == {5: [False], 10: [False]}


# What is none


def test_results_that_differ_are_progress() -> None:
    """`next()` is called with nothing each time, and gets on each time."""
    assert kinds(*(f"next:={at}" for at in range(40)), "next:") == {}


def test_progress_starts_the_count_anew() -> None:
    """A job that was pending twice and then ran is not stuck."""
    assert kinds("job:1=pending", "job:1=pending", "job:1=running", "job:1") == {}
    assert kinds("job:1=pending", "job:1=pending", "job:1=running", "job:1=running", "job:1") == {"identical": 3}


def test_going_back_to_an_old_answer_is_not_progress() -> None:
    """On, off, on, off: after the first round each answer is known."""
    assert kinds("lamp:1=on", "lamp:1=off", "lamp:1=on", "lamp:1=off", "lamp:1")["identical"] == 4


def test_parallel_calls_with_differing_results_are_progress() -> None:
    """Three dice thrown at once, and again."""
    assert kinds("roll:=1 roll:=5 roll:=2", "roll: roll: roll:") == {}


def test_paging_is_progress() -> None:
    """The next page is neither the same call nor the same answer."""
    assert kinds(*(f"search:page_{at}=r{at}" for at in range(40)), "search:page_40") == {}


def test_other_arguments_are_other_calls() -> None:
    """A list of things to look up is work, not a loop."""
    words = ["ann", "bob", "cem", "dan"]
    assert kinds(*(f"get:{word}=none" for word in words[:3]), "get:dan") == {}
    assert kinds(" ".join(f"get:{word}" for word in words), "get:eve") == {}
    assert kinds(*(f"get:{word}" for word in words), "get:eve") == {}, "nobody saw that the answers were the same"


def test_ten_lookups_at_once_are_one_step() -> None:
    """The model has not read one answer yet."""
    ten = " ".join(f"get:{at}=none" for at in range(10))
    assert kinds(ten, "get:77") == {}


def test_other_spellings_with_other_answers_are_progress() -> None:
    """Case may matter to the tool: only the answers tell."""
    assert kinds("get:a_b=1", "get:A_b=2", "get:a_B=3", "get:A_B") == {}
    assert kinds("get:a_b", "get:A_b", "get:a_B", "get:A_B") == {}
    assert kinds("get:a_b get:A_b get:a_B get:A_B") == {}
    assert kinds("get:a_b=none", "get:A_b", repeats=2) == {}, "one answer is not yet the same answer"


def test_a_cycle_that_brings_news_is_work() -> None:
    """Write, test, write, test: the tests say something new each time."""
    rounds = [f"{tool}:1={tool}{at}" for at in range(8) for tool in ("edit", "test")]
    assert kinds(*rounds, "edit:1") == {}


def test_news_within_a_cycle_ends_it() -> None:
    """It counts from there."""
    assert kinds("a:1=x", "b:1=y", "a:1=x", "b:1=NEW", "a:1", per_tool={"a": 9, "b": 3}) == {}
    limits = {"repeats": 3, "per_tool": {"b": 9}, "no_progress": None}
    assert kinds("a:1=x", "b:1=y", "a:1=x2", "b:1=y", "a:1=x2", "b:1=y", "a:1", **limits) == {"identical": 3}


def test_one_step_that_is_new_is_off_the_beaten_track() -> None:
    """A walk through old calls that finds something is no circle."""
    five = [f"{tool}:1={tool}" for tool in "abcde"]
    assert kinds(*five, "c:1=c", "a:1=a", "e:1=NEW", "b:1=b", "d:1") == {}
    assert kinds(*five, "c:1=c", "a:1=a", "f:1=f", "b:1=b", "d:1") == {}


def test_a_tool_that_works_again_is_not_down() -> None:
    """One success between the failures."""
    words = ["ann", "bob", "cem", "dan"]
    assert kinds("get:zoe=!timeout", "get:yan=ok", *(f"get:{word}=!timeout" for word in words[:3]), "get:dan") == {}


# Who may more


def test_a_tool_may_have_its_own_threshold() -> None:
    """A search may be asked more often than a payment."""
    rounds = ["search:1=x"] * 4
    limits = {"per_tool": {"search": 5, "pay": 2}}
    assert kinds(*rounds[:3], "search:1", **limits) == {}
    assert kinds(*rounds, "search:1", **limits)["identical"] == 5
    assert kinds("pay:1=!timeout", "pay:1", **limits) == {"identical": 2}


def test_a_threshold_of_two_still_lets_next_go_on() -> None:
    """Once it has brought something new, it is known to."""
    assert kinds("next:=1", "next:", repeats=2) == {"identical": 2}
    assert kinds("next:=1", "next:=2", "next:", repeats=2) == {}


def test_polling_is_left_alone_but_not_for_ever() -> None:
    """To ask again is what it is for; a job that never ends is a loop all the same."""
    limits: dict[str, Any] = {"polls": polls("wait")}
    assert kinds(*["wait:1=pending"] * (POLLS - 2), "wait:1", **limits) == {}
    assert kinds(*["wait:1=pending"] * (POLLS - 1), "wait:1", **limits)["identical"] == POLLS
    assert kinds(*["wait:1=!timeout"] * 20, "wait:1", **limits) == {}
    assert Limits(repeats=MOST, polls=polls("wait")).of("wait") == MOST, "never less than what the others may"


def test_a_cycle_with_a_poll_in_it_has_the_polls_patience() -> None:
    """Wait, look, wait, look: the look alone would be one too many, and says so for itself."""
    rounds = ["wait:1=pending", "look:1=pending"]
    assert kinds(*rounds * 3, "wait:1", polls=polls("wait", "look")) == {}
    assert set(kinds(*rounds * 2, "wait:1=pending", "look:1", polls=polls("wait"))) == {"identical"}


def test_the_strictest_rule_may_be_switched_off() -> None:
    """A host that knows better than `no_progress`."""
    rounds = [f"get:{word}=!timeout" for word in ("kites", "dogs", "cats", "owls")]
    assert kinds(*rounds, "get:bees", no_progress=None) == {}
    assert kinds(*rounds[2:], "get:bees", no_progress=3) == {"unchanged": 3}


def test_longer_cycles_may_be_left_alone() -> None:
    """`longest_cycle=2` is for hosts with a routine of three steps."""
    three = ["a:1=x", "b:1=y", "c:1=z"]
    limits = {"no_progress": None, "per_tool": {"a": 4, "b": 3, "c": 3}}
    assert "cycle" in kinds(*three * 3, "a:1", **limits)
    assert "cycle" not in kinds(*three * 3, "a:1", longest_cycle=2, **limits)


def test_what_is_remembered_holds_the_highest_threshold() -> None:
    """A threshold that the window cannot reach would never speak."""
    assert MOST * 4 <= KEPT_CALLS
    assert POLLS <= MOST


# What holds for any turn

CALLS = st.builds(
    lambda tool, q, result: f"{tool}:{q}{result}",
    st.sampled_from("ab"),
    st.sampled_from(["1", "2", "x", "X"]),
    st.sampled_from(["=ok", "=ok2", "=!timeout", "=!permanent", ""]),
)
TURNS = st.lists(st.lists(CALLS, min_size=1, max_size=3), min_size=1, max_size=14)


@settings(deadline=None)
@given(rounds=TURNS, seed=st.randoms())
def test_the_order_of_parallel_calls_makes_no_difference(rounds: list[list[str]], seed: random.Random) -> None:
    """Results arrive as they come, and a replay may bring them in another order."""
    mixed = [seed.sample(each, len(each)) for each in rounds]
    assert found(*map(" ".join, rounds)) == found(*map(" ".join, mixed))


@settings(deadline=None)
@given(rounds=TURNS)
def test_what_is_found_is_about_what_is_asked(rounds: list[list[str]]) -> None:
    """A finding of a call that nobody makes now would block a tool for what is over."""
    past, asked = turn(*map(" ".join, rounds))
    findings = find(past, asked, Limits())
    assert all(finding.calls <= {each.exact for each in asked} for finding in findings)
    assert all({each.tool for each in asked if each.exact in finding.calls} <= finding.tools for finding in findings)


@settings(deadline=None)
@given(rounds=TURNS)
def test_new_results_are_never_a_circle(rounds: list[list[str]]) -> None:
    """Whatever is called, however often: as long as each answer is new, nothing is firm, and nobody is told."""
    fresh = [[f"{each.partition('=')[0]}={at}-{place}" for place, each in enumerate(r)] for at, r in enumerate(rounds)]
    assert found(*map(" ".join, fresh), "a:1") == []


@settings(deadline=None)
@given(rounds=TURNS, more=st.integers(3, 20))
def test_every_endless_loop_is_found(rounds: list[list[str]], more: int) -> None:
    """Whatever came before: a call that is answered alike three times is in circles from then on."""
    stuck = ["a:stuck=same"] * more
    assert "identical" in kinds(*map(" ".join, rounds), *stuck, "a:stuck")


@settings(deadline=None)
@given(rounds=st.lists(st.sampled_from(["a:1=x", "a:1=y", "a:1=z"]), max_size=12), repeats=st.integers(2, 6))
def test_identical_calls_are_counted_since_the_last_news(rounds: list[str], repeats: int) -> None:
    """The rule again, written plainly: from the newest result that had not been seen before."""
    results = [each.partition("=")[2] for each in rounds]
    news = [at for at, result in enumerate(results) if result not in results[:at]]
    count = len(rounds) - (news[-1] if news else 0) + 1
    moves = len(news) > 1 and news[-1] == len(rounds) - 1
    expected = {"identical": count} if count >= repeats and not moves else {}
    assert {k: n for k, n in kinds(*rounds, "a:1", repeats=repeats).items() if k == "identical"} == expected


def test_nothing_asked_is_nothing_found() -> None:
    """The model has answered."""
    assert find(turn("a:1=x", "a:1=x", "a:1")[0], [], Limits()) == []
