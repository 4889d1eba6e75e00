"""A step counts what is new, and what it says is what counting everything would say."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage

from langgraph_guard.tokens.counter import TokenCounter
from langgraph_guard.tokens.history import History
from langgraph_guard.tokens.tally import Tally


class Scale:
    """Weighs messages, and remembers which."""

    def __init__(self) -> None:
        self.weighed: list[str] = []

    def __call__(self, said: bytes, message: BaseMessage) -> Tally:
        self.weighed.append(str(message.content))
        return Tally(len(str(message.content)), 100)


def talk(*texts: str) -> list[BaseMessage]:
    """People say such things."""
    return [HumanMessage(text) for text in texts]


def test_only_new_messages_are_counted() -> None:
    """A thousand messages that are counted at each step are half a million counts, or a thousand."""
    scale = Scale()
    first = History().continued(talk("a", "b"), scale)
    second = first.continued(talk("a", "b", "c"), scale)
    assert (scale.weighed, [total.tokens for total in second.sums]) == (["a", "b", "c"], [0, 1, 2, 3])


def test_equal_messages_are_the_same_messages() -> None:
    """After a checkpoint they are other objects."""
    scale = Scale()
    messages = [*talk("a"), AIMessage("", tool_calls=[{"name": "f", "args": {"x": [1]}, "id": "1"}])]
    history = History().continued(messages, scale)
    assert history.continued(copy.deepcopy(messages), scale) is history
    assert len(scale.weighed) == 2


def test_a_beginning_is_known() -> None:
    """Trimming counts many of them."""
    scale = Scale()
    whole = History().continued(talk("a", "b", "c"), scale)
    assert whole.continued(talk("a", "b"), scale).total.tokens == 2
    assert len(scale.weighed) == 3


def _say(message: Any) -> None:
    message.content = "other"


def _block(message: Any) -> None:
    message.content[0]["text"] = "other"


def _more(message: Any) -> None:
    message.content.append({"type": "text", "text": "more"})


def _call(message: Any) -> None:
    message.tool_calls[0]["args"]["x"][0] = "other"


def _no_call(message: Any) -> None:
    message.tool_calls.clear()


@pytest.mark.parametrize("change", [_say, _block, _more, _call, _no_call])
def test_what_was_changed_in_place_is_counted_again(change: Any) -> None:
    """Same object, same id, other text: an edited call is a call that costs something else."""
    calls = [{"name": "f", "args": {"x": ["one"]}, "id": "1"}]
    messages = [AIMessage([{"type": "text", "text": "one"}], tool_calls=calls, id="1"), *talk("after")]
    scale = Scale()
    history = History().continued(messages, scale)
    change(messages[0])
    later = history.continued(messages, scale)
    assert (len(scale.weighed), later.chain[-1] != history.chain[-1]) == (4, True)


def test_an_answer_that_gets_its_first_call_in_place_is_counted_again() -> None:
    """Repairs of what a model garbled do that."""
    messages = [AIMessage("one", id="1"), *talk("after")]
    scale = Scale()
    history = History().continued(messages, scale)
    messages[0].tool_calls.append({"name": "f", "args": {}, "id": "1"})
    later = history.continued(messages, scale)
    assert (len(scale.weighed), later.chain[-1] != history.chain[-1]) == (4, True)


def test_the_ids_do_not_matter() -> None:
    """A message gets its id when it joins a state, and was counted before that."""
    chains = [History().continued([HumanMessage("hi", id=id)], Scale()).chain for id in (None, "7")]
    assert chains[0] == chains[1]


TEXTS = st.text(st.characters(codec=None, categories=None), max_size=30)
CALLS = st.lists(st.fixed_dictionaries({"name": TEXTS, "args": st.dictionaries(TEXTS, TEXTS), "id": TEXTS}), max_size=2)
BLOCKS = st.lists(st.builds(lambda text: {"type": "text", "text": text}, TEXTS), max_size=3)
CONTENTS = st.one_of(TEXTS, BLOCKS)
MESSAGES = st.one_of(
    st.builds(HumanMessage, CONTENTS),
    st.builds(SystemMessage, CONTENTS),
    st.builds(lambda content, calls: AIMessage(content, tool_calls=calls), CONTENTS, CALLS),
    st.builds(lambda content, name: ToolMessage(content, name=name, tool_call_id="1"), CONTENTS, TEXTS),
)


class Conversation(RuleBasedStateMachine):
    """One counter that follows a conversation, and a new one at each step."""

    def __init__(self) -> None:
        super().__init__()
        self.counter = TokenCounter("gpt-4o")
        self.messages: list[BaseMessage] = []

    @rule(new=st.lists(MESSAGES, max_size=3))
    def goes_on(self, new: Sequence[BaseMessage]) -> None:
        self.messages = [*self.messages, *new]

    @rule(at=st.integers(0, 20), new=MESSAGES)
    def is_rewritten(self, at: int, new: BaseMessage) -> None:
        self.messages = [*self.messages[:at], new, *self.messages[at + 1 :]]

    @rule(at=st.integers(0, 20), text=TEXTS)
    def is_changed_in_place(self, at: int, text: str) -> None:
        for message in self.messages[at : at + 1]:
            if isinstance(message.content, list) and message.content:
                message.content[-1] = text
            else:
                message.content = text

    @rule(start=st.integers(0, 5), end=st.integers(0, 20))
    def is_cut(self, start: int, end: int) -> None:
        self.messages = self.messages[start:end]

    @rule()
    def comes_back_from_a_checkpoint(self) -> None:
        self.messages = copy.deepcopy(self.messages)

    @invariant()
    def the_count_is_that_of_a_new_counter(self) -> None:
        ours, theirs = self.counter.estimate(self.messages), TokenCounter("gpt-4o").estimate(self.messages)
        assert ours == theirs
        assert ours.total <= ours.reserve <= ours.upper_bound


TestConversation = Conversation.TestCase


@given(st.lists(MESSAGES, max_size=6))
def test_no_estimate_is_above_its_bound(messages: list[BaseMessage]) -> None:
    """For every family of models, with what this machine has."""
    for model in (None, "gpt-4o", "gpt-4", "claude-sonnet-5", "gemini-2.5-pro"):
        found = TokenCounter(model).estimate(messages)
        assert found.total <= found.reserve <= found.upper_bound
