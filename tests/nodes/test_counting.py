"""What a budget takes a prompt for: the meter holds the model's count, the gate reads what the provider reported."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage
from langchain_core.runnables import RunnableLambda
from langchain_openai import ChatOpenAI

from langgraph_guard import Budget, BudgetCheckNode, BudgetExceeded, ConfigError, Limit, MemoryBackend, TokenCounter
from langgraph_guard.events import subscribe
from langgraph_guard.testing import ScriptedChatModel, says
from langgraph_guard.tokens import count_tokens, loading
from langgraph_guard.tokens.text import CHUNK
from tests.nodes.agents import TOOLS, thread
from tests.servers.openai import OpenAIServer
from tests.servers.script import Tokens
from tests.servers.script import says as sends

QUESTION = [SystemMessage("You help.", id="s"), HumanMessage("Where is order A1?", id="h")]


@pytest.fixture
def exact(monkeypatch: pytest.MonkeyPatch, encodings: dict[str, Any]) -> None:
    """A machine with the vocabularies."""
    monkeypatch.setattr(loading, "_loaded", dict(encodings))


@pytest.fixture
def reserved() -> Iterator[list[int]]:
    """Tokens of each reservation."""
    found: list[int] = []
    stop = subscribe(lambda name, facts: found.append(facts["tokens"]) if name == "budget.reserved" else None)
    yield found
    stop()


def budget_of(*limits: Limit, **settings: Any) -> BudgetCheckNode:
    """A budget, of a dollar per session unless told otherwise."""
    return BudgetCheckNode(Budget(limits or [Limit("usd", 1, per="session")]), MemoryBackend(), **settings)


def scripted(*replies: Any, **settings: Any) -> ScriptedChatModel:
    """A model with room for 100 tokens of answer."""
    return ScriptedChatModel(list(replies) or [says("yes")], repeat_last=True, max_tokens=100, **settings)


def gate(budget: BudgetCheckNode, *messages: BaseMessage) -> str:
    """The route that the gate takes with these messages."""
    return budget.route(budget.invoke({"messages": list(messages)}, thread()))


# The meter


@pytest.mark.usefixtures("exact")
def test_the_first_call_is_reserved_at_its_exact_count(reserved: list[int]) -> None:
    """With a vocabulary, only the two per cent for what is not published stand between the count and the hold."""
    with OpenAIServer(sends("It has shipped.", Tokens(30, 5))) as server:
        client = ChatOpenAI(model="gpt-4o", base_url=server.url, api_key="none", max_tokens=100)  # type: ignore[call-arg, arg-type]
        budget_of(count=TokenCounter(margin=1)).model(client).invoke(QUESTION, thread())
        budget_of().model(client).invoke(QUESTION, thread())
    count = count_tokens(QUESTION, model="gpt-4o")
    assert reserved == [count + 100, count + 1 + 100]


@pytest.mark.usefixtures("exact")
def test_tools_are_part_of_the_prompt(reserved: list[int]) -> None:
    """Their schemas are read, and billed, with every call."""
    budget_of(count=TokenCounter(margin=1)).model(scripted().bind_tools(TOOLS)).invoke(QUESTION, thread())
    assert reserved == [count_tokens(QUESTION, model="gpt-4o-mini", tools=TOOLS) + 100]


@pytest.mark.parametrize("by", ["model", "callback"])
def test_the_next_call_reads_what_the_provider_reported_and_what_came_after(by: str, reserved: list[int]) -> None:
    """8,000 tokens of hidden prompt are in the report alone: a count of what is visible would hold next to nothing."""
    budget, llm = budget_of(), scripted(says("It has shipped.", usage=(8_000, 40)))
    model = budget.model(llm) if by == "model" else llm
    config = {**thread(), "callbacks": [budget.callback()] if by == "callback" else []}

    def ask(messages: list[BaseMessage]) -> AIMessage:
        return RunnableLambda(model.invoke).invoke(messages, config)

    answer = ask(QUESTION)
    ask([*QUESTION, answer, HumanMessage("And B2?", id="h2")])
    first, second = reserved
    assert first < 200
    assert 8_040 + 100 < second < 8_040 + 100 + 30


def test_two_budgets_do_not_share_a_counter() -> None:
    """What one conversation is known for says nothing about another's."""
    one, other = (budget_of()._meter.size.to_hold.__self__ for _ in range(2))  # type: ignore[attr-defined]
    assert isinstance(one, TokenCounter)
    assert one is not other


NASTY = {
    "lone surrogates": "\ud83d" * 1_000,
    "special tokens": "<|endoftext|><|im_start|>system" * 100,
    "both": "\udc00<|endoftext|>" * 100,
}


@pytest.mark.parametrize("how", ["with a vocabulary", "without"])
@pytest.mark.parametrize("text", NASTY.values(), ids=NASTY)
def test_no_text_can_break_a_call(text: str, how: str, request: pytest.FixtureRequest) -> None:
    """Any user can type it, and any tool may return it."""
    if how == "with a vocabulary":
        request.getfixturevalue("exact")
    budget = budget_of(Limit("usd", 1, per="session"), Limit("tokens", 100_000, per="call"))
    assert gate(budget, HumanMessage(text)) == "ok"
    assert budget.model(scripted()).invoke([HumanMessage(text)], thread()).text == "yes"


# The gate

WORDS = 1_000


def words(number: int) -> HumanMessage:
    """So many tokens, whatever counts them, and the format around."""
    return HumanMessage("word" + " word" * (number - 1), id="h")


@pytest.mark.usefixtures("exact")
@pytest.mark.parametrize(("over", "route"), [(0, "ok"), (1, "exceeded")])
def test_a_limit_per_call_is_exact_to_the_token(over: int, route: str) -> None:
    """Just under goes through, just over does not."""
    limit = TokenCounter()([words(WORDS)])
    assert gate(budget_of(Limit("tokens", limit, per="call")), words(WORDS + over)) == route


@pytest.mark.parametrize(("read", "wrote"), [(True, 5), (5, -1), (5, 5)])
def test_the_gate_does_not_believe_a_report_that_cannot_be(read: Any, wrote: int) -> None:
    """A fake that reports five tokens for a thousand words would open the gate to any length."""
    budget = budget_of(Limit("tokens", 500, per="call"))
    told: Any = {"input_tokens": read, "output_tokens": wrote, "total_tokens": 10}
    answer = AIMessage("It has shipped.", id="a")
    answer.usage_metadata = told
    assert gate(budget, words(WORDS), answer, HumanMessage("And now?", id="h2")) == "exceeded"


def test_the_gate_knows_what_the_provider_reported() -> None:
    """A prompt that is long because of what cannot be seen is long."""
    budget = budget_of(Limit("tokens", 4_000, per="call"))
    told: Any = {"input_tokens": 8_000, "output_tokens": 40, "total_tokens": 8_040}
    assert gate(budget, *QUESTION, AIMessage("It has shipped.", id="a", usage_metadata=told)) == "exceeded"


class Watched:
    """An encoding that notes what it had to read."""

    def __init__(self, encoding: Any) -> None:
        self.encoding = encoding
        self.read = 0

    def encode(self, text: str, **settings: Any) -> list[int]:
        self.read += len(text)
        found: list[int] = self.encoding.encode(text, **settings)
        return found


def test_ten_megabytes_are_refused_after_reading_a_part(
    monkeypatch: pytest.MonkeyPatch, encodings: dict[str, Any]
) -> None:
    """Who pastes a disk image must not keep the process busy; asking again costs nothing at all."""
    watched = Watched(encodings["o200k_base"])
    monkeypatch.setattr(loading, "_loaded", {"o200k_base": watched})
    budget, model = budget_of(Limit("tokens", 8_000, per="call")), scripted()
    pasted = HumanMessage("The invoice of 12 March was paid twice.\n" * 256_000, id="h")
    for _ in range(3):
        assert gate(budget, pasted) == "exceeded"
        with pytest.raises(BudgetExceeded, match="per call"):
            budget.model(model).invoke([pasted], thread())
    assert 0 < watched.read <= 2 * 64 * CHUNK < len(pasted.content)
    assert model.call_count == 0


# A counter of one's own


def test_a_function_of_ones_own_counts(reserved: list[int]) -> None:
    """It is told which model is asked; for a look at the state there is none."""
    asked: list[tuple[int, int, str | None]] = []

    def count(messages: Sequence[BaseMessage], tools: Sequence[Any] = (), *, model: str | None = None) -> int:
        asked.append((len(messages), len(tools), model))
        return 1_000

    budget = budget_of(Limit("usd", 1, per="session"), Limit("tokens", 5_000, per="call"), count=count)
    assert gate(budget, *QUESTION) == "ok"
    budget.model(scripted().bind_tools(TOOLS)).invoke(QUESTION, thread())
    assert asked == [(2, 0, None), (2, 1, "gpt-4o-mini")]
    assert reserved == [1_100]


@pytest.mark.parametrize("count", [3, "gpt-4o", lambda messages: 1, lambda messages, tools: 1, print])
def test_what_cannot_be_asked_is_refused_at_once(count: Any) -> None:
    """Not in the tenth superstep."""
    with pytest.raises(ConfigError) as caught:
        budget_of(count=count)
    assert caught.value.field == "count"
