"""The summarizer without a model: what it takes away first, what it never takes, and when it does nothing at all."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.messages.ai import UsageMetadata

from langgraph_guard import ConfigError, MemoryBackend, SummarizationNode, TokenCounter
from langgraph_guard.events import subscribe
from langgraph_guard.nodes.finish import FinishNode
from langgraph_guard.nodes.summarization.memo import KEY, memo_in
from langgraph_guard.testing import ScriptedChatModel
from langgraph_guard.tools.breaker import CircuitBreaker
from tests.nodes.summarizing import (
    after,
    conversation,
    is_accepted,
    people,
    step,
    summarizer,
    summary_in,
    text,
    turn,
)

count = TokenCounter()


def visited(node: SummarizationNode, messages: list[BaseMessage], **state: Any) -> list[BaseMessage]:
    """What is left after a visit."""
    return after(messages, node.invoke({"messages": messages, **state}))


@pytest.fixture
def told() -> Iterator[list[tuple[str, dict[str, Any]]]]:
    """What was said while the test ran."""
    said: list[tuple[str, dict[str, Any]]] = []
    stop = subscribe(lambda name, attributes: said.append((name, dict(attributes))))
    yield said
    stop()


# When it works


def test_below_the_trigger_nothing_happens() -> None:
    """Nearly every visit is one of these."""
    node = SummarizationNode(max_tokens=8_000)
    assert "messages" not in node.invoke({"messages": conversation(10)})


def test_above_it_the_history_goes_down_to_the_target() -> None:
    """Not just below the trigger: the next step would be above it again."""
    messages = visited(SummarizationNode(max_tokens=2_000), conversation(40))
    assert count(messages) <= 1_000


def test_the_summary_stands_where_the_first_message_stood_that_it_is_for() -> None:
    """The order of all others stays, and so does the part of the prompt that a provider has cached."""
    messages = visited(SummarizationNode(max_tokens=2_000), conversation(40))
    assert [each.id for each in messages[:4]] == ["sys", "h0", "a0", messages[3].id]
    assert messages[2] is summary_in(messages)
    assert messages[-1].id == "h40"


def test_the_summary_opens_no_turn() -> None:
    """It looks like a person's message, and limits per turn would start anew behind it."""
    messages = visited(SummarizationNode(max_tokens=2_000), conversation(40))
    assert messages[2].additional_kwargs["lc_source"] == "summarization"


def test_a_second_visit_changes_nothing() -> None:
    """A retry, a resumed run, or a graph that goes through the node twice."""
    node = SummarizationNode(max_tokens=2_000)
    messages = visited(node, conversation(40))
    assert "messages" not in node.invoke({"messages": messages})


def test_too_little_to_gain_is_left_alone() -> None:
    """A long request that may not leave: to summarize a little at each step behind it would cost a call each time."""
    node = SummarizationNode(max_tokens=2_000, reserve=100)
    history = [SystemMessage(text(1_300), id="sys"), *turn(1), *turn(2), *turn(3), *turn(4)]
    assert 1_600 < count(history) < 1_900
    assert "messages" not in node.invoke({"messages": history})


def test_what_is_summarized_goes_into_the_one_summary() -> None:
    """The fifth compaction of a conversation leaves one summary, in its old place."""
    node, messages, number = SummarizationNode(max_tokens=2_000), conversation(10), 100
    found = []
    for _ in range(100):
        messages = visited(node, [*messages, *turn(number)])
        found += [id(summary) for summary in [summary_in(messages)] if summary is not None]
        number += 1
    assert len(set(found)) >= 4
    assert [at for at, each in enumerate(messages) if KEY in each.additional_kwargs] == [2]
    remembered = node.summary({"messages": messages})
    assert remembered is not None
    assert remembered.covers > 100


def test_every_n_steps_summarizes_long_before_the_context_is_full() -> None:
    """A short memory that is put in order keeps a model on its way."""
    history: list[BaseMessage] = [
        HumanMessage("Find a kite.", id="h0"),
        *(each for at in range(9) for each in step(at)),
    ]
    node = SummarizationNode(max_tokens=100_000, every_n_steps=5, keep=2)
    messages = visited(node, history)
    assert [each.id for each in messages if isinstance(each, AIMessage)] == ["s7", "s8"]
    assert "messages" not in node.invoke({"messages": messages})
    assert "messages" not in node.invoke({"messages": history[:7]})


def test_steps_that_are_due_are_no_reason_to_stop_halfway() -> None:
    """The same visit takes care of what is too long beside them: the next one finds nothing to do."""
    result = ToolMessage(text(200), tool_call_id="c0", name="search", id="t0")
    asked = AIMessage("", tool_calls=[{"name": "search", "args": {}, "id": "c0"}], id="s0")
    node = SummarizationNode(max_tokens=300, reserve=0, keep=1, artifacts=True, every_n_steps=2)
    messages = visited(node, [AIMessage("One.", id="a0"), AIMessage("Two.", id="a1"), asked, result])
    assert "messages" not in node.invoke({"messages": messages})
    assert count(messages) <= 240


def test_what_the_provider_counts_beyond_what_is_seen_counts_too() -> None:
    """System prompts and tools that the model node adds: the history alone would look half as long."""
    history = conversation(12)
    history.insert(
        -1,
        AIMessage(
            "Yes.", id="ai", usage_metadata=UsageMetadata(input_tokens=7_000, output_tokens=10, total_tokens=7_010)
        ),
    )
    node = SummarizationNode(max_tokens=8_000, summary_tokens=100)
    assert count(history) < 2_000
    messages = visited(node, history)
    assert summary_in(messages) is not None
    # The report is of a history that is gone: in a new process, too, it must not start the work again.
    assert "messages" not in SummarizationNode(max_tokens=8_000, summary_tokens=100).invoke({"messages": messages})


def test_a_provider_that_counts_less_than_is_seen_is_not_believed_over_the_limit() -> None:
    """An answer may report of a part of the history: what its model was shown, or what a gateway calls new."""
    history = conversation(40)
    for message in history:
        if isinstance(message, AIMessage):
            message.usage_metadata = UsageMetadata(input_tokens=600, output_tokens=40, total_tokens=640)
    assert count(visited(SummarizationNode(max_tokens=1_000), history)) <= 875


def test_the_tools_schemas_count_too() -> None:
    """Forty tools are a prompt of their own."""
    tools = [{"name": f"tool_{at}", "description": text(40), "parameters": {}} for at in range(20)]
    history = conversation(14)
    assert summary_in(visited(SummarizationNode(max_tokens=2_000), history)) is None
    assert summary_in(visited(SummarizationNode(max_tokens=2_600, tools=tools), history)) is not None


def test_a_counter_of_ones_own_is_asked() -> None:
    """The provider's own, for who has it."""

    def characters(messages: Any, tools: Any = (), *, model: str | None = None) -> int:
        return sum(len(each.text) for each in messages)

    messages = visited(SummarizationNode(max_tokens=4_000, count=characters), conversation(30))
    assert characters(messages) <= 2_000


# What goes first


def test_long_results_are_cut_before_anything_is_forgotten() -> None:
    """A page that was read ten steps ago is the cheapest thing to lose."""
    history = [*conversation(3)[:-1], *step(1, 3_000), *turn(5), *turn(6), *turn(7), HumanMessage("Go on.", id="h9")]
    messages = visited(SummarizationNode(max_tokens=4_000, keep=4), history)
    assert [each.id for each in messages] == [each.id for each in history]
    [result] = [each for each in messages if isinstance(each, ToolMessage)]
    assert result.text.startswith("Result 1: ")
    assert "characters left out" in result.text


def test_where_they_can_be_read_again_long_results_are_put_aside() -> None:
    """`ToolGuard` brings the tool that reads them; the model is told how."""
    history = [*conversation(3)[:-1], *step(1, 3_000), *turn(5), *turn(6), *turn(7), HumanMessage("Go on.", id="h9")]
    node = SummarizationNode(max_tokens=4_000, tools=[{"name": "read_artifact", "parameters": {}}])
    update = node.invoke({"messages": history})
    [record] = update["guard_artifacts"]
    [result] = [each for each in after(history, update) if isinstance(each, ToolMessage)]
    assert (record["tool"], record["call"]) == ("search", "c1-0")
    assert f'read_artifact(id="{record["id"]}"' in result.text


def test_arguments_of_old_calls_are_cleared() -> None:
    """A file that was written five steps ago is in the file."""
    call = {"name": "write", "args": {"path": "kite.md", "content": text(2_000)}, "id": "w1"}
    blocks = [
        {"type": "text", "text": "I write."},
        {"type": "tool_use", "id": "w1", "name": "write", "input": call["args"]},
    ]
    asked = AIMessage(blocks, tool_calls=[call], id="w")
    history = [
        HumanMessage("Write.", id="h"),
        asked,
        ToolMessage("done", tool_call_id="w1", id="t"),
        *turn(1),
        *turn(2),
    ]
    messages = visited(SummarizationNode(max_tokens=2_400), [*history, HumanMessage("Go on.", id="h9")])
    cleared = messages[1]
    assert isinstance(cleared, AIMessage)
    assert cleared.tool_calls[0]["args"] == {
        "path": "kite.md",
        "content": f"[{len(text(2_000)):,} characters, cleared]",
    }
    assert cleared.content[1]["input"] == cleared.tool_calls[0]["args"]  # type: ignore[index]


def test_thoughts_that_are_signed_for_what_is_gone_go_with_it() -> None:
    """Providers refuse a signature that does not fit the history; those of the turn that runs they want to see."""
    thought = [{"type": "thinking", "thinking": "hm", "signature": "c2ln"}, {"type": "text", "text": "Well."}]
    end = [*turn(90), AIMessage(thought, id="old"), HumanMessage("Now?", id="h99"), AIMessage(thought, id="new")]
    messages = visited(SummarizationNode(max_tokens=2_000), [*conversation(40), *end])
    shown = {each.id: each.content for each in messages}
    assert (shown["old"], shown["new"]) == (thought[1:], thought)


# What stays


def test_a_pinned_message_stays_with_its_segment() -> None:
    """What a reviewer decided, for example."""
    history = conversation(40)
    history[5:5] = step(1)
    node = SummarizationNode(max_tokens=2_000, pin=lambda message: message.id == "tc1-0")
    assert {"s1", "tc1-0"} <= {each.id for each in visited(node, history)}


def test_a_pinned_message_is_not_shortened_either() -> None:
    """Not even where nothing else is left: then the run ends, and says so."""
    history = [HumanMessage("Go.", id="h0"), *step(1, 1_500), *turn(2)]
    assert summary_in(visited(SummarizationNode(max_tokens=1_000), history)) is None
    assert halted(SummarizationNode(max_tokens=1_000, pin=lambda message: message.id == "tc1-0"), history)


def test_not_even_the_first_request_is_shortened_when_it_is_pinned() -> None:
    """What somebody pinned is what must be there to the letter."""
    history: list[BaseMessage] = [HumanMessage(text(1_500), id="h0"), HumanMessage("Go on.", id="h1")]
    assert not halted(SummarizationNode(max_tokens=1_000), history)
    assert halted(SummarizationNode(max_tokens=1_000, pin=lambda message: message.id == "h0"), history)


def test_a_pinned_result_beside_an_open_call_is_not_shortened() -> None:
    """The other calls of the batch may wait for a person, who reads what this one said."""
    asked, result, _ = step(1, 1_500, calls=2)
    history = [HumanMessage("Go.", id="h0"), asked, result]
    assert not halted(SummarizationNode(max_tokens=1_000), history)
    assert halted(SummarizationNode(max_tokens=1_000, pin=lambda message: message.id == result.id), history)


def test_a_pinned_answer_keeps_its_thoughts() -> None:
    """Only whoever pinned it knows what it is for."""
    thought = {"type": "thinking", "thinking": text(40), "signature": "c2ln"}
    answer = AIMessage([thought, {"type": "text", "text": "Here."}], id="pinned")
    node = SummarizationNode(max_tokens=1_000, pin=lambda message: message.id == "pinned")
    messages = visited(node, [*conversation(5), answer, *conversation(40)[1:]])
    assert summary_in(messages) is not None
    assert answer in messages


def test_open_calls_stay_as_they_are() -> None:
    """They are about to run, or wait for a person who was shown exactly these."""
    asked = AIMessage("", tool_calls=[{"name": "pay", "args": {"note": text(300)}, "id": "p"}], id="open")
    messages = visited(SummarizationNode(max_tokens=2_000), [*conversation(40), asked])
    assert messages[-1] == asked


def test_no_word_of_a_person_is_lost_to_repair() -> None:
    """Calls and answers that do not match are what providers refuse; what a person wrote between them is not."""
    history = [
        HumanMessage("Pay.", id="h0"),
        AIMessage("I pay.", tool_calls=[{"name": "pay", "args": {"amount": 5}, "id": "p"}], id="a0"),
        HumanMessage("Are you there?", id="h1"),
        ToolMessage("paid 5", tool_call_id="p", id="t0"),
        ToolMessage("what?", tool_call_id="nobody", id="t1"),
        HumanMessage("Hello?", id="h2"),
    ]
    messages = visited(SummarizationNode(max_tokens=8_000), history)
    assert [each.id for each in messages] == ["h0", "a0", "h1", "h2"]
    assert messages[1].text == 'I pay.\n[pay with {"amount": 5} was asked for; later it answered: "paid 5"]'
    assert is_accepted(messages)


def test_calls_that_stand_in_the_content_alone_are_calls() -> None:
    """Providers are sent the content: a result without its call is refused, and so is a call without its result. One
    that a person answers in a provider's own form is left to them."""
    click = {"type": "computer_call", "id": "cu", "call_id": "c1", "action": {"type": "click"}}
    use = {"type": "tool_use", "id": "u1", "name": "search", "input": {"q": "kites"}}
    answered = [
        AIMessage([use], id="a0"),
        ToolMessage("found", tool_call_id="u1", id="t0"),
        AIMessage([click], id="a1"),
        ToolMessage("clicked", tool_call_id="c1", id="t1"),
    ]
    by_hand = HumanMessage([{"type": "tool_result", "tool_use_id": "u1", "content": "found"}], id="h1")
    history = [HumanMessage("Go.", id="h0"), *answered, AIMessage([use], id="a2"), by_hand]
    assert visited(SummarizationNode(max_tokens=8_000), history) == history


def test_what_is_asked_for_in_the_content_leaves_with_its_answer() -> None:
    """As any other call does; and one of several that has no answer is taken back."""
    uses = [
        [{"type": "tool_use", "id": f"{one}{at}", "name": "search", "input": {}} for one in "uv"] for at in range(40)
    ]
    history: list[BaseMessage] = [HumanMessage("Go.", id="h0")]
    for at, blocks in enumerate(uses):
        answers = [ToolMessage(text(30), tool_call_id=block["id"], id=block["id"]) for block in blocks]
        history += [AIMessage(blocks, id=f"a{at}"), *answers[: 2 if at < 39 else 1]]  # type: ignore[arg-type]
    messages = visited(SummarizationNode(max_tokens=2_000), [*history, HumanMessage("Well?", id="h1")])
    asked = [block.get("id") for each in messages for block in each.content if isinstance(block, dict)]
    assert summary_in(messages) is not None
    assert [id for id in asked if id] == [each.id for each in messages if isinstance(each, ToolMessage)]
    assert "search with {} was asked for; no answer came" in messages[-3].text


# Bad input


def halted(node: SummarizationNode, history: list[BaseMessage]) -> bool:
    """Whether a visit ends the run, leaving the history as it is."""
    update = node.invoke({"messages": history})
    return node.route(update) == "halt" and "messages" not in update  # type: ignore[arg-type]


def test_a_message_over_the_limit_is_a_halt_that_says_why() -> None:
    """What a person asks now is not to be cut behind their back."""
    node = SummarizationNode(max_tokens=1_000)
    history: list[BaseMessage] = [HumanMessage(text(3_000), id="h0")]
    update = node.invoke({"messages": history})
    last = FinishNode().invoke({"messages": history, **update})["messages"][-1]
    assert halted(node, history)
    assert last.response_metadata["guard"]["status"] == "context_irreducible"
    assert last.response_metadata["guard"]["reason"].startswith("context_irreducible: what must stay takes ")
    assert last.response_metadata["guard"]["continue"] == "Send a shorter message, or split it into parts."


def test_a_halt_is_over_when_there_is_room_again() -> None:
    """The person sends a shorter message, in place of the long one."""
    node = SummarizationNode(max_tokens=1_000)
    update = node.invoke({"messages": [HumanMessage(text(3_000), id="h0")]})
    again = node.invoke({"messages": [HumanMessage("Short.", id="h1")], **update})
    assert node.route(again) == "ok"  # type: ignore[arg-type]


def test_a_halt_that_stands_is_not_said_again() -> None:
    """One decision on record, however often a run is tried."""
    node, state = SummarizationNode(max_tokens=1_000), {"messages": [HumanMessage(text(3_000), id="h0")]}
    assert node.invoke({**state, **node.invoke(state)}) == {}


def test_a_system_prompt_over_the_limit_is_a_halt() -> None:
    """Without it the agent is another one."""
    assert halted(SummarizationNode(max_tokens=1_000), [SystemMessage(text(3_000)), *turn(1)])


def test_an_early_message_over_the_limit_is_summarized() -> None:
    """Only what is pinned may end a run."""
    history = [*turn(1), HumanMessage(text(3_000), id="long"), *turn(2), *turn(3), *turn(4)]
    messages = visited(SummarizationNode(max_tokens=1_000), history)
    assert "long" not in {each.id for each in messages}


def test_a_first_message_that_leaves_no_room_is_shown_in_part() -> None:
    """It fitted when it came. Why the run began stays; the words that do not fit are counted."""
    history = [
        HumanMessage(f"Fly a kite. {text(700)}", id="h0"),
        AIMessage("Yes?", id="a0"),
        HumanMessage(text(500), id="h1"),
    ]
    messages = visited(SummarizationNode(max_tokens=1_000), history)
    assert messages[0].text.startswith("Fly a kite. ")
    assert "characters left out" in messages[0].text
    assert messages[-1] == history[-1]


def test_the_results_of_sixty_calls_share_what_room_there_is() -> None:
    """One message may ask for more than any context holds."""
    history = [HumanMessage("Read them all.", id="h0"), *step(1, 300, calls=60)]
    messages = visited(SummarizationNode(max_tokens=8_000), history)
    assert len(messages) == 62
    assert count(messages) <= 7_000
    assert all("left out" in each.text for each in messages if isinstance(each, ToolMessage))


def test_sixty_open_calls_over_the_limit_are_a_halt() -> None:
    """Their arguments are what will run."""
    calls = [{"name": "write", "args": {"content": text(200, at)}, "id": f"c{at}"} for at in range(60)]
    history = [HumanMessage("Write.", id="h0"), AIMessage("", tool_calls=calls, id="a0")]
    assert halted(SummarizationNode(max_tokens=8_000), history)


def test_messages_that_share_an_id_are_not_taken_for_each_other() -> None:
    """Removed by its id, one would take the summary along that stands in the place of the other, or the goal."""
    history = conversation(40)
    for first, second in ((1, 5), (2, 9), (3, -1)):
        history[second].id = history[first].id
    messages = visited(SummarizationNode(summarizer(), max_tokens=2_000), history)
    assert summary_in(messages) is not None
    assert people(messages)[0].content == history[1].content
    assert people(messages)[-1].content == history[-1].content
    assert visited(SummarizationNode(summarizer(), max_tokens=2_000), messages) == messages


def test_a_shared_id_does_not_pass_for_what_is_summarized_already() -> None:
    """What was read once is dropped when it is handed in again. Another message of its id was never read."""
    node, history = SummarizationNode(max_tokens=2_000), conversation(40)
    history[-2].id = memo_in(summary_in(visited(node, history))).upto
    more = [each for number in range(100, 140) for each in turn(number)]
    messages = visited(node, [*visited(node, history), *more])
    summary = node.summary({"messages": messages})
    assert summary is not None
    assert summary.covers + len(messages) - 1 == len(history) + len(more)


def test_messages_without_ids_are_rewritten_as_a_whole() -> None:
    """Nothing can be removed by an id that is not there."""
    history = [each.model_copy(update={"id": None}) for each in conversation(40)]
    messages = visited(SummarizationNode(max_tokens=2_000), history)
    assert count(messages) <= 1_000
    assert people(messages)[-1].content == history[-1].content


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        ({}, "max_tokens"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": -5}, "max_tokens"),
        ({"max_tokens": 8_000.5}, "max_tokens"),
        ({"max_tokens": True}, "max_tokens"),
        ({"max_tokens": ScriptedChatModel(["x"], profile={})}, "max_tokens"),
        ({"max_tokens": 1_000, "reserve": 1_000}, "reserve"),
        ({"max_tokens": 1_000, "reserve": -1}, "reserve"),
        ({"max_tokens": 1_000, "trigger": 0}, "trigger"),
        ({"max_tokens": 1_000, "trigger": 1.2}, "trigger"),
        ({"max_tokens": 1_000, "target": 0.8}, "target"),
        ({"max_tokens": 1_000, "target": 0.9}, "target"),
        ({"max_tokens": 1_000, "keep": -1}, "keep"),
        ({"max_tokens": 1_000, "mode": "both"}, "mode"),
        ({"max_tokens": 1_000, "every_n_steps": 0}, "every_n_steps"),
        ({"max_tokens": 1_000, "summary_tokens": 600}, "summary_tokens"),
        ({"max_tokens": 1_000, "window": 0}, "window"),
        ({"max_tokens": 1_000, "timeout": 0}, "timeout"),
        ({"max_tokens": 1_000, "breaker": object()}, "breaker"),
        ({"max_tokens": 1_000, "model": object()}, "model"),
        ({"max_tokens": 1_000, "pin": "system"}, "pin"),
        ({"max_tokens": 1_000, "count": 5}, "count"),
        ({"max_tokens": 1_000, "name": ""}, "name"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_wrong_setting_is_refused_by_name(settings: dict[str, Any], field: str) -> None:
    """When the graph is built, and not in the tenth superstep."""
    with pytest.raises(ConfigError) as refused:
        SummarizationNode(**settings)
    assert refused.value.field == field


def test_the_limit_may_come_from_a_model() -> None:
    """The agent's own, or the summarizer's when both are one."""
    model = ScriptedChatModel(["x"], profile={"max_input_tokens": 2_000})
    for node in (
        SummarizationNode(max_tokens=model),
        SummarizationNode(model),
        SummarizationNode(max_tokens=model.bind_tools([])),
    ):
        assert summary_in(visited(node, conversation(40))) is not None


def test_a_forged_summary_is_an_ordinary_message() -> None:
    """Clients send messages with whatever they carry: what a person wrote is not rewritten for it."""
    forged = HumanMessage("I am the summary.", id="x", additional_kwargs={KEY: {"v": 1, "sections": 5}})
    messages = visited(SummarizationNode(max_tokens=2_000), [*conversation(40), forged])
    assert count(messages) <= 1_000
    assert messages[-1] == forged


def test_a_summary_that_cannot_be_read_is_none() -> None:
    """A client may have sent back what it was given, and changed it."""
    broken = HumanMessage("?", id="x", additional_kwargs={KEY: {"v": 1, "sections": 5}, "lc_source": "summarization"})
    messages = visited(SummarizationNode(max_tokens=2_000), [broken, *conversation(40)])
    assert count(messages) <= 1_000


# What is said


def test_what_was_done_is_told_in_figures(told: list[tuple[str, dict[str, Any]]]) -> None:
    """Dashboards show how often, how much, and by whom; nothing of what anybody said."""
    SummarizationNode(max_tokens=2_000).invoke({"messages": conversation(40)})
    [fallback, compacted] = told
    assert fallback == ("context.fallback", {"guard": "summary", "reason": "no_model", "calls": 0})
    assert compacted[0] == "context.compacted"
    assert compacted[1]["after"] <= 1_000 < compacted[1]["before"]
    assert (compacted[1]["by"], compacted[1]["mode"], compacted[1]["limit"]) == ("extract", "replace", 2_000)


def test_repairs_and_halts_are_told(told: list[tuple[str, dict[str, Any]]]) -> None:
    """Both say that something before this node went wrong."""
    stray = ToolMessage("what?", tool_call_id="nobody", id="t1")
    SummarizationNode(max_tokens=2_000).invoke({"messages": [*turn(1), stray]})
    SummarizationNode(max_tokens=100).invoke({"messages": [HumanMessage(text(400), id="h")]})
    assert [name for name, _ in told] == ["context.repaired", "context.halted"]
    assert told[0][1] == {"guard": "summary", "answers": 1, "calls": 0}


def test_extracts_are_the_same_each_time() -> None:
    """Without a model nothing is left to chance: a step that runs again writes what it wrote."""
    one, other = (visited(SummarizationNode(max_tokens=2_000), conversation(40)) for _ in range(2))
    assert one == other


def test_a_first_request_stays_through_fifty_compactions() -> None:
    """The goal is what agents forget."""
    node = SummarizationNode(summarizer(), max_tokens=1_000, breaker=CircuitBreaker(MemoryBackend()))
    messages: list[BaseMessage] = [HumanMessage("Buy the red kite for 12 euros.", id="h0")]
    for number in range(300):
        messages = visited(node, [*messages, *step(number)])
        assert count(messages) <= 875
    assert messages[0].text == "Buy the red kite for 12 euros."
