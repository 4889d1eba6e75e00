"""An agent that answers twenty questions about a handbook that is three times as long as its model's context."""

import json
import re

from langchain_core.messages import AnyMessage, ToolMessage
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, MessagesState, StateGraph

from langgraph_guard import (
    Budget,
    BudgetCheckNode,
    FinishNode,
    Limit,
    MemoryBackend,
    SummarizationNode,
    TokenCounter,
    ToolGuard,
    contract,
    fuse,
)
from langgraph_guard.testing import ScriptedChatModel, calls, says

WINDOW = 6_000  # tokens that the model reads
CHAPTERS = 20
TOPICS = ("refunds", "parcels", "lost keys", "late trains", "broken glass")


def chapter(number: int) -> str:
    rules = (f"{number}.{at} Clerks note the time, the place and the name of whoever asks." for at in range(1, 60))
    return f"Chapter {number}: {TOPICS[number % 5]}.\n" + "\n".join(rules) + f"\nThe code is K-{number:03}.\n"


@contract(timeout=5, side_effects="read", trust="untrusted")
@tool
def read_handbook() -> str:
    """The whole handbook."""
    opened.append("handbook")
    return "\n".join(chapter(number) for number in range(1, CHAPTERS + 1))


def reader(messages: list[AnyMessage]):
    """Opens the handbook once, then searches what was put aside. What a real model does, as a script."""
    prompts.append(count(messages))
    question, newest = next(each for each in reversed(messages) if each.type == "human"), messages[-1]
    if isinstance(newest, ToolMessage) and newest.name == "read_artifact":
        return f"The code is {re.findall('K-[0-9]{3}', newest.text)[0]}."
    artifacts = re.findall(r"artifact ([0-9a-f]{12})", "\n".join(each.text for each in messages))
    if not artifacts:
        return calls("read_handbook", {})
    number = int(re.findall(r"chapter (\d+)", question.text)[0])
    return calls("read_artifact", {"id": artifacts[-1], "find": f"The code is K-{number:03}"})


def writer(messages: list[AnyMessage]):
    """Keeps what has a code, and where the handbook is."""
    text = "\n".join(each.text for each in messages)
    facts = [f"The handbook is artifact {id}." for id in re.findall(r"artifact ([0-9a-f]{12})", text)[:1]]
    patches = [{"op": "add", "section": "facts", "status": "ESTABLISHED", "text": each} for each in facts]
    return says(json.dumps({"patches": patches}))


# Your models go here: ChatOpenAI(model="gpt-4o") and a cheap one for the summaries.
count, prompts, opened = TokenCounter(), [], []
smart = ScriptedChatModel(reader, model_name="gpt-4o")
cheap = ScriptedChatModel(writer, model_name="gpt-4o-mini")

TOOLS = [read_handbook]
limits = [Limit("usd", 2.00, per="session"), Limit("model_calls", 10, per="turn")]
budget = BudgetCheckNode(Budget(limits), MemoryBackend())
guard = ToolGuard(budget=budget)
offered = guard.tools(TOOLS)  # yours, and `read_artifact`, which reads what was put aside
model = budget.model(smart.bind_tools(offered))
summary = SummarizationNode(budget.model(cheap), max_tokens=WINDOW, tools=offered)
before_model = fuse(budget, summary)


def call_model(state: MessagesState):
    return {"messages": [model.invoke(state["messages"])]}


graph = StateGraph(MessagesState)
graph.add_node("before_model", before_model)
graph.add_node("model", budget.track(call_model))
graph.add_node("tools", guard.node(TOOLS))
graph.add_node("finish", FinishNode())
graph.add_edge(START, "before_model")
paths = before_model.paths(ok="model", exceeded="finish", halt="finish")
graph.add_conditional_edges("before_model", before_model.route, paths)
graph.add_conditional_edges("model", budget.after_model, budget.paths(tools="tools", end=END, exceeded="finish"))
graph.add_edge("tools", "before_model")
graph.add_edge("finish", END)
app = graph.compile(checkpointer=InMemorySaver())

if __name__ == "__main__":
    conversation = {"configurable": {"thread_id": "clerk-1"}}
    right = 0
    for number in range(1, CHAPTERS + 1):
        asked = {"messages": [("user", f"What is the code of chapter {number} of the handbook?")]}
        answer = app.invoke(asked, conversation)["messages"][-1].text
        right += f"K-{number:03}" in answer
    state = app.get_state(conversation).values
    (handbook,) = state["guard_artifacts"]
    print(f"{right} of {CHAPTERS} answers are right")
    print(f"the handbook: {count(handbook['text']):,} tokens; the longest prompt: {max(prompts):,} of {WINDOW:,}")
    print(f"the handbook was opened {len(opened)} time")
    print(f"messages in the state: {len(state['messages'])}; first: {state['messages'][0].text}")
