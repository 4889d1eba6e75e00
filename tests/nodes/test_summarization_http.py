"""A long conversation with a small model, over HTTP: what a summary is for, and what it must still know at the end.

The server is as strict as the real one: a prompt of more than 8,192 tokens is an error 400. It answers a question from
what it finds in the prompt, and nothing else.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from typing import Any

import pytest
from langchain_core.exceptions import ContextOverflowError
from langchain_core.messages import AIMessage, HumanMessage, convert_to_messages
from langchain_openai import ChatOpenAI
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.graph import END, START, MessagesState, StateGraph
from openai import BadRequestError

from langgraph_guard import Budget, BudgetCheckNode, Limit, MemoryBackend, SummarizationNode, TokenCounter
from langgraph_guard.checkpoint.redis import RedisSaver
from langgraph_guard.nodes.summarization.memo import record_in
from tests.nodes.summarizing import patches, text
from tests.servers.openai import OpenAIServer
from tests.servers.provider import Request
from tests.servers.redis import RedisServer, redis_server
from tests.servers.script import Reply, Tokens, fails, says

__all__ = ["redis_server"]

WINDOW = 8_192
CODE = "R-4711-KITE"
FIRST = "Open a file for the river shop, please, and help me to get it ready."
OPENED = f"I opened a file for it, and its code is {CODE}."
ASKED = "What is the code of the river shop's file?"
WORDS = 160
"""Of each question and each answer."""


class SmallModel(OpenAIServer):
    """A model that reads 8,192 tokens. `longest`: the longest prompt that it was sent."""

    def __init__(self) -> None:
        super().__init__(says(""))
        self.count = TokenCounter("gpt-4o-mini")
        self.longest = 0

    def take(self, request: Request) -> Reply:
        super().take(request)
        prompt = [(each["role"], each["content"] or "") for each in request.body["messages"]]
        read = self.count(convert_to_messages(prompt))
        self.longest = max(self.longest, read)
        if read > WINDOW:
            return fails(400)
        said = answer(prompt)
        return says(said, Tokens(read, self.count([AIMessage(said)])))

    def error(self, reply: Reply) -> dict[str, Any]:
        told = {"message": f"This model's maximum context length is {WINDOW} tokens.", "param": "messages"}
        return {"error": {**told, "type": "invalid_request_error", "code": "context_length_exceeded"}}


def answer(prompt: Sequence[tuple[str, str]]) -> str:
    """What the model makes of a prompt: patches for a summarizer's, a code for who asks, else a remark."""
    said = "\n".join(content for _, content in prompt)
    codes = re.findall(r"its code is ([A-Z0-9-]+)\.", said)
    if '"patches"' in prompt[0][1]:
        found = [("facts", f"the river shop has a file, and its code is {code}.") for code in dict.fromkeys(codes)]
        return patches(*found, ("next", "the questions go on"))
    if prompt[-1][1] == FIRST:
        return OPENED
    if prompt[-1][1] == ASKED:
        return codes[0] if codes else "I do not know."
    return f"Here is what I think: {text(WORDS, len(prompt))}"


@pytest.fixture
def model() -> Iterator[SmallModel]:
    with SmallModel() as server:
        yield server


@pytest.fixture(params=["InMemorySaver", "SqliteSaver", "RedisSaver"])
def saver(request: pytest.FixtureRequest, tmp_path: Any) -> Iterator[Any]:
    """Where the conversation is kept between its turns."""
    with ExitStack() as stack:
        if request.param == "SqliteSaver":
            yield stack.enter_context(SqliteSaver.from_conn_string(str(tmp_path / "runs.db")))
        elif request.param == "RedisSaver":
            server: RedisServer = request.getfixturevalue("redis_server")
            yield stack.enter_context(RedisSaver.from_conn_string(server.url, prefix=f"t{secrets.token_hex(6)}"))
        else:
            yield InMemorySaver()


def agent(model: SmallModel, saver: Any, *, guarded: bool = True) -> Any:
    """A graph that talks to the model, with the summarizer before it or without."""
    llm = ChatOpenAI(model="gpt-4o-mini", base_url=model.url, api_key="none", max_retries=0)  # type: ignore[arg-type]
    budget = BudgetCheckNode(Budget([Limit("usd", 100, per="session")]), MemoryBackend())
    metered = budget.model(llm)
    summary = SummarizationNode(budget.model(llm), max_tokens=WINDOW)

    def call_model(state: MessagesState) -> dict[str, Any]:
        return {"messages": [metered.invoke(state["messages"])]}

    graph = StateGraph(MessagesState)
    graph.add_node("model", budget.track(call_model))
    graph.add_edge("model", END)
    if guarded:
        graph.add_node("summary", summary)
        graph.add_edge(START, "summary")
        graph.add_conditional_edges("summary", summary.route, summary.paths(ok="model", halt=END))
    else:
        graph.add_edge(START, "model")
    return graph.compile(checkpointer=saver)


def talk(app: Any, turns: int) -> list[Any]:
    """So many turns; the code is in the first answer, and asked for in the last question."""
    thread: Any = {"configurable": {"thread_id": "talk"}}
    say(app, FIRST, thread)
    for turn in range(2, turns):
        say(app, f"Question {turn}: {text(WORDS, turn)}", thread)
    say(app, ASKED, thread)
    return list(app.get_state(thread).values["messages"])


def say(app: Any, words: str, thread: Any) -> None:
    app.invoke({"messages": [HumanMessage(words)]}, thread)


TURNS = [60, pytest.param(300, marks=pytest.mark.slow)]


@pytest.mark.parametrize("turns", TURNS)
def test_a_long_conversation_with_a_small_model_never_fails(model: SmallModel, saver: Any, turns: int) -> None:
    """A run that ends with "context length exceeded" ends at every retry, too."""
    messages = talk(agent(model, saver), turns)
    assert isinstance(messages[-1], AIMessage)
    assert 4_096 < model.longest <= WINDOW


@pytest.mark.parametrize("turns", TURNS)
def test_it_answers_a_question_about_the_first_turn_from_the_summary(model: SmallModel, saver: Any, turns: int) -> None:
    """The first message of a person is pinned, and so the answer to it is what could be lost."""
    *messages, last = talk(agent(model, saver), turns)
    assert last.text == CODE
    assert [record_in(each) is not None for each in messages if CODE in each.text] == [True]


def test_without_the_summarizer_the_same_conversation_fails(model: SmallModel) -> None:
    """Otherwise the tests above would show nothing."""
    with pytest.raises((BadRequestError, ContextOverflowError)):
        talk(agent(model, InMemorySaver(), guarded=False), 60)
