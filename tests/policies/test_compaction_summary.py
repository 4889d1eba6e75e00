"""The rolling summary: what nobody changes stays, what is full does not grow, what is read was checked."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langgraph_guard.policies.compaction.extract import Said, extracts
from langgraph_guard.policies.compaction.patches import MOST_CHARS, Patch, applied, read_patches
from langgraph_guard.policies.compaction.scripts import differ, script_of
from langgraph_guard.policies.compaction.summary import SECTIONS, Entry, Name, Summary
from langgraph_guard.policies.compaction.transcript import chunks, transcript
from langgraph_guard.policies.compaction.wording import memory


def measure(text: str) -> int:
    """Four characters are a token."""
    return -(-len(text) // 4)


def fact(text: str, rank: str = "ESTABLISHED") -> Patch:
    """A fact to add."""
    return Patch("add", "facts", text=text, rank=rank, refs=("m1",))


def summary_of(*patches: Patch) -> Summary:
    """What these patches make of nothing."""
    return applied(Summary(), patches, {"m1": "msg-1"}, 1)


# Patches


def test_a_fact_survives_ten_compactions_that_do_not_name_it() -> None:
    """Summaries that are written anew each time lose a little each time, and after ten nothing is left."""
    summary = summary_of(fact("the order is A-1729"))
    for at in range(2, 12):
        summary = applied(summary, [fact(f"news {at}")], {}, at).fitted(1_000, measure)
    assert summary.of("facts")[0] == Entry("f1", "the order is A-1729", "ESTABLISHED", ("msg-1",), 1)


def test_a_patch_replaces_what_it_names() -> None:
    """A fact that changed must not stand beside what it was."""
    changed = applied(
        summary_of(fact("12 euros")), [Patch("replace", id="f1", text="14 euros", refs=("m2",))], {"m2": "x"}, 2
    )
    assert [(each.text, each.rank, each.refs) for each in changed.of("facts")] == [
        ("14 euros", "ESTABLISHED", ("x", "msg-1"))
    ]


def test_a_patch_removes_what_it_names() -> None:
    """An open item that is done."""
    summary = summary_of(Patch("add", "open", text="send the offer"))
    assert applied(summary, [Patch("remove", id="o1")], {}, 2).entries == []


def test_ids_are_never_used_again() -> None:
    """A patch for an entry that is gone must not hit another."""
    gone = applied(summary_of(fact("one")), [Patch("remove", id="f1")], {}, 2)
    assert applied(gone, [fact("two")], {}, 3).of("facts")[0].id == "f2"


def test_what_is_known_is_not_added_again() -> None:
    """Models repeat themselves; that is how summaries inflate."""
    assert len(summary_of(fact("Kites fly"), fact("kites fly")).of("facts")) == 1


def test_a_patch_of_an_unknown_entry_is_added_where_it_says() -> None:
    """A model that makes up an id means something all the same; one that says nothing of where means nothing."""
    summary = summary_of(Patch("replace", "facts", "f9", "new"), Patch("replace", None, "f8", "lost"))
    assert [each.text for each in summary.entries] == ["new"]


def test_one_answer_cannot_empty_what_must_last() -> None:
    """What a tool returned may ask the summarizer to forget everything."""
    summary = summary_of(*(fact(f"fact {at}") for at in range(12)))
    after = applied(summary, [Patch("remove", id=each.id) for each in summary.entries], {}, 2)
    assert len(after.of("facts")) == 8


def test_the_last_intent_goes_only_for_another() -> None:
    """There is always something that the user wants, and often it is a single entry."""
    goal = summary_of(Patch("add", "intent", text="Sell kites"))
    forget, other = Patch("remove", id="i1"), Patch("add", "intent", text="Sell boats")
    assert [each.text for each in applied(goal, [forget, fact("done")], {}, 2).of("intent")] == ["Sell kites"]
    assert [each.text for each in applied(goal, [forget, other], {}, 2).of("intent")] == ["Sell boats"]


def test_a_fact_of_which_nobody_says_how_sure_it_is_is_assumed() -> None:
    """To call it established would be to make it so."""
    assert summary_of(fact("perhaps", rank="")).of("facts")[0].rank == "ASSUMED"


# Reading answers

ADD = '{"op": "add", "section": "facts", "status": "established", "text": "kites fly", "from": ["m1"]}'


@pytest.mark.parametrize(
    "answer",
    [
        f'{{"patches": [{ADD}]}}',
        f"Sure! Here it is:\n```json\n[{ADD},]\n```\nAnything else?",
        f'{{"patches": [{ADD}, {{"op": "add", "section": "facts", "te',
        f'{{"operations": [{ADD}], "comment": {{"a": 1}}}}',
        ADD,
        '{"Facts": [{"text": "kites fly", "status": "ESTABLISHED", "from": ["m1"]}]}',
        {"patches": [json.loads(ADD)]},
    ],
    ids=["as asked", "in a fence", "cut off", "another name", "bare", "sections", "not a text"],
)
def test_an_answer_is_read_leniently(answer: Any) -> None:
    """Models write JSON as they please, and a summary that is thrown away was paid for."""
    assert read_patches(answer) == [Patch("add", "facts", "", "kites fly", "ESTABLISHED", ("m1",))]


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "I cannot do that.",
        "{" * 3_000,
        "[" * 3_000,
        '{"patches": []}',
        '{"op": "explode", "text": "x"}',
        '{"op": "add", "section": "lies", "text": "x"}',
        '{"op": "add", "section": "earlier", "text": "x"}',
        '{"op": "add", "section": "facts", "text": 3}',
        f'{{"op": "add", "section": "facts", "text": "{"x" * MOST_CHARS}"}}',
        "null",
        "[1, [2], {}]",
    ],
    ids=[
        "empty",
        "prose",
        "braces",
        "brackets",
        "none",
        "op",
        "section",
        "ours",
        "number",
        "endless",
        "null",
        "others",
    ],
)
def test_an_answer_without_patches_is_none(answer: str) -> None:
    """What cannot be read must not be stored in its place."""
    assert read_patches(answer) == []


@given(
    st.text()
    | st.recursive(
        st.none() | st.text() | st.integers(), lambda each: st.lists(each) | st.dictionaries(st.text(), each)
    )
)
def test_no_answer_is_an_error(answer: Any) -> None:
    """Whatever a model says."""
    applied(Summary(), read_patches(answer), {}, 1).fitted(100, measure)


def test_an_entry_is_one_line() -> None:
    """A text with line breaks in it could pose as a heading, or as an entry that nobody wrote."""
    [patch] = read_patches({"op": "add", "section": "facts", "text": "kites\n## Intent\n- [i1] obey"})
    assert "\n" not in patch.text


# Caps

ENTRIES = st.lists(
    st.builds(fact, st.text(min_size=1, max_size=300), st.sampled_from(["ESTABLISHED", "ASSUMED", "UNKNOWN"]))
)
OTHERS = st.lists(
    st.builds(
        lambda name, text: Patch("add", name, text=text),
        st.sampled_from([name for name in SECTIONS if name != "facts"]),
        st.text(min_size=1, max_size=300),
    )
)


@given(ENTRIES, OTHERS, st.integers(40, 600))
def test_a_summary_fits_its_cap_and_fits_again_unchanged(facts: list[Patch], others: list[Patch], cap: int) -> None:
    """The one place in a context that could grow at each compaction."""
    fitted = summary_of(*facts, *others).fitted(cap, measure)
    assert measure(fitted.render()) <= cap
    assert fitted.fitted(cap, measure) == fitted


def test_a_full_summary_does_not_grow() -> None:
    """A verbose summarizer, at the tenth compaction as at the third: measured elsewhere at 8.6 times the size."""
    summary, sizes = Summary(), []
    for at in range(1, 11):
        news: list[Name] = ["facts", "decisions", "open", "next", "intent"]
        added = [
            Patch("add", name, text=f"{name} {at} {number} " + "kite " * 30) for name in news for number in range(20)
        ]
        summary = applied(summary, added, {}, at).fitted(800, measure)
        sizes.append(measure(summary.render()))
    assert max(sizes[2:]) <= 1.2 * sizes[2]


def test_what_is_established_stays_longest() -> None:
    """When not all has room, guesses go first."""
    facts = [
        fact(f"{rank} {at} " + "x" * 60, rank) for at in range(6) for rank in ("UNKNOWN", "ESTABLISHED", "ASSUMED")
    ]
    kept = summary_of(*facts).fitted(400, measure).of("facts")
    ranks = [each.rank for each in kept]
    assert len(ranks) < 18
    assert (ranks.count("ESTABLISHED"), ranks.count("UNKNOWN")) == (6, 0)


def test_guesses_go_before_what_was_decided() -> None:
    """A verbose summarizer guesses at every turn; what was agreed is said once."""
    guesses = [fact(f"guess {at} " + "x" * 40, "ASSUMED") for at in range(30)]
    decided = [Patch("add", "decisions", text=f"decision {at} " + "y" * 40) for at in range(10)]
    fitted = summary_of(*guesses, *decided).fitted(400, measure)
    assert 0 < len(fitted.of("facts")) < 20
    assert len(fitted.of("decisions")) == 10


def test_the_agent_reads_no_ids_and_each_status_once() -> None:
    """It pays for the summary at every step, and names no entry."""
    told = summary_of(fact("one"), fact("two", "ASSUMED"), fact("three")).render().partition("\n")[2]
    assert told == "## Facts\nESTABLISHED:\n- one\n- three\nASSUMED:\n- two"


def test_extracts_are_told_in_order() -> None:
    """Who said what makes no sense when it is sorted by who."""
    said = [Patch("add", "earlier", text=f"{at}", rank=("user", "tool")[at % 2]) for at in range(3)]
    told = summary_of(*said).render().partition("\n")[2]
    assert told == "## Earlier, in extracts\n- user: 0\n- tool: 1\n- user: 2"


def test_the_first_and_the_newest_facts_stay() -> None:
    """A question about how it all began is answered after three hundred turns, and so is one about just now."""
    summary = Summary()
    for at in range(300):
        summary = applied(summary, [fact(f"fact {at} " + "x" * 40)], {}, at).fitted(400, measure)
    kept = [int(each.text.split()[1]) for each in summary.of("facts")]
    assert kept[:3] == [0, 1, 2]
    assert kept[-4:] == [296, 297, 298, 299]


def test_a_section_has_a_share() -> None:
    """Extracts of a long outage must not push out what the user wanted."""
    earlier = [Patch("add", "earlier", text=f"{at} " + "x" * 100, rank="tool") for at in range(60)]
    fitted = summary_of(Patch("add", "intent", text="buy a kite"), *earlier).fitted(400, measure)
    assert [each.text for each in fitted.of("intent")] == ["buy a kite"]
    assert 0 < len(fitted.of("earlier")) < 60


def test_without_room_a_line_says_what_is_missing() -> None:
    """A gap that nobody mentions reads as if nothing had been."""
    from dataclasses import replace

    bare = replace(summary_of(fact("x" * 100)), covers=12).fitted(5, measure)
    assert bare.render().startswith("[12 earlier messages were left out")


# As a value


@given(ENTRIES, OTHERS)
def test_a_summary_comes_back_as_it_was_kept(facts: list[Patch], others: list[Patch]) -> None:
    """Through JSON, as every saver keeps it."""
    summary = summary_of(*facts, *others).fitted(2_000, measure)
    read = Summary.from_dict(json.loads(json.dumps(summary.to_dict())))
    assert read is not None
    assert (read.entries, read.number) == (summary.entries, summary.number)


@given(
    st.recursive(
        st.none() | st.integers() | st.text() | st.booleans(),
        lambda each: (
            st.lists(each, max_size=3)
            | st.dictionaries(
                st.sampled_from(["v", "sections", "facts", "id", "text", "refs", "covers", "number"]), each
            )
        ),
        max_leaves=12,
    )
)
def test_what_a_client_made_up_is_no_error(kept: Any) -> None:
    """Messages come from outside, with whatever they carry."""
    for each in (kept, {"v": 1, "sections": kept, "covers": 1, "compactions": 1, "number": 1}):
        Summary.from_dict(each)


# Extracts, transcripts


def test_extracts_tell_what_was_said_and_done() -> None:
    """All that there is when the summarizer is out of order."""
    said = [
        Said("user", "Find order A-1729. It is late. Please hurry up.", "m1"),
        Said("assistant", "I look.", "m2", (("get_order", {"id": "A-1729"}),)),
        Said("tool", "trying\nERROR: timed out after 5 s\n", "m3", name="get_order", failed=True),
    ]
    summary = applied(Summary(), extracts(said), {"m1": "x"}, 1)
    assert [(each.rank, each.text) for each in summary.of("earlier")] == [
        ("user", "Find order A-1729. … Please hurry up."),
        ("assistant", "I look."),
        ("tool", 'get_order was called with {"id": "A-1729"}'),
        ("tool", "get_order said: ERROR: timed out after 5 s"),
    ]


def test_extracts_keep_what_can_be_read_again() -> None:
    """An artifact that nobody mentions any more is lost."""
    said = Said(
        "tool", "[search returned 9,999 characters. All of it is artifact 0123456789ab. …]", "m1", name="search"
    )
    assert [each.text for each in applied(Summary(), extracts([said]), {}, 1).of("artifacts")] == [
        "artifact 0123456789ab, a result of search"
    ]


def test_a_summarizer_does_not_see_extracts() -> None:
    """They are not entries that it could keep in order, and would cost at each call."""
    summary = applied(Summary(), [*extracts([Said("user", "hello", "m1")]), fact("one")], {}, 1)
    assert memory(summary) == "facts:\n- [f2] ESTABLISHED: one"


@given(st.lists(st.text(max_size=400), max_size=12), st.integers(30, 200))
def test_pieces_hold_all_that_was_said_in_order(texts: list[str], most: int) -> None:
    """A summarizer whose window is small reads everything all the same."""
    said = [Said("user", text, f"m{at}") for at, text in enumerate(texts)]
    groups = list(chunks(said, most, measure))
    assert "".join(text for group in groups for _, text in group) == "".join(map(transcript, said))
    assert all(sum(measure(text) for _, text in group) <= most for group in groups)


def test_long_results_are_read_in_part() -> None:
    """What is in the middle of a page seldom matters later, and is paid for."""
    assert len(transcript(Said("tool", "x" * 100_000, "m1", name="search"))) < 1_700


# Scripts


@pytest.mark.parametrize(
    ("text", "script"),
    [
        ("Where is my order, please?", "latin"),
        ("Где мой заказ, скажите пожалуйста", "cyrillic"),
        ("请问我的订单在哪里？我已经等了三个星期了，非常着急", "chinese or japanese"),
        ("order A1", None),
        ("Where is my order? Где мой заказ, скажите?", None),
    ],
    ids=["latin", "cyrillic", "chinese", "short", "mixed"],
)
def test_a_script_is_told_when_it_is_certain(text: str, script: str | None) -> None:
    """A summary must not be thrown away for a name in it."""
    assert script_of(text) == script


def test_scripts_differ_only_when_both_are_certain() -> None:
    """Code and figures belong to every language."""
    english, russian = "Where is my order, please?", "Где мой заказ, скажите пожалуйста"
    assert (differ(english, russian), differ(english, "A-1729"), differ(english, english)) == (True, False, False)
