"""Eight processes run the same agent and share one budget: who was granted what, and that nobody passed it."""

import argparse
import tempfile
from collections import Counter
from multiprocessing import get_all_start_methods, get_context
from pathlib import Path

from langgraph.graph import END, START, MessagesState, StateGraph
from rich.console import Console
from rich.table import Table

from langgraph_guard import Budget, BudgetCheckNode, Limit, SqliteBackend
from langgraph_guard.events import subscribe
from langgraph_guard.testing import ScriptedChatModel, says

WORKERS, CUSTOMERS, LIMIT = 8, 10, 0.05
BUDGET = Budget([Limit("usd", LIMIT, per="tenant", window="month"), Limit("model_calls", 25, per="turn")])


def backend(place, tenant):
    """Where the accounts are: in a file that the processes of this machine share, or on a server."""
    if not place.startswith(("redis://", "rediss://", "unix://")):
        return SqliteBackend(place, tenant=tenant)
    from langgraph_guard.backends.redis import RedisBackend

    return RedisBackend.from_url(place, tenant=tenant)


def agent(place, tenant):
    # Your model goes here: ChatOpenAI(model="gpt-4o", max_tokens=200). This one is scripted, and priced alike.
    answer = says("It left the warehouse this morning.", usage=(150, 90), delay=0.02)
    llm = ScriptedChatModel([answer], cycle=True, model_name="gpt-4o", max_tokens=200)
    budget = BudgetCheckNode(BUDGET, backend(place, tenant))
    model = budget.model(llm)  # reserves 200 tokens of output before the call, and settles 90 after it

    def call_model(state: MessagesState):
        return {"messages": [model.invoke(state["messages"])]}

    graph = StateGraph(MessagesState)
    graph.add_node("budget", budget)
    graph.add_node("model", budget.track(call_model))
    graph.add_edge(START, "budget")
    graph.add_conditional_edges("budget", budget.route, budget.paths(ok="model", exceeded=END))
    graph.add_conditional_edges("model", budget.after_model, budget.paths(tools=END, end=END, exceeded=END))
    return graph.compile()


def work(name, place, tenant, start, results):
    """Answer customers, as long as the budget lets us."""
    app = agent(place, tenant)
    did = Counter()
    subscribe(lambda event, facts: did.update(usd=facts["usd"] if event == "budget.settled" else 0))
    start.wait()
    for number in range(CUSTOMERS):
        customer = {"configurable": {"thread_id": f"{name}, customer {number}"}}
        messages = app.invoke({"messages": [("user", "Where is my order 4711?")]}, customer)["messages"]
        did["answered" if messages[-1].type == "ai" else "refused"] += 1
    results.put((name, did["answered"], did["refused"], did["usd"]))


def share(place, tenant):
    """Start all of them at once; what each did."""
    world = get_context("forkserver" if "forkserver" in get_all_start_methods() else "spawn")
    start, results = world.Barrier(WORKERS), world.Queue()
    names = [f"worker {number}" for number in range(1, WORKERS + 1)]
    processes = [world.Process(target=work, args=(name, place, tenant, start, results), daemon=True) for name in names]
    for process in processes:
        process.start()
    did = sorted(results.get(timeout=300) for _ in processes)
    for process in processes:
        process.join()
    return did


def show(did):
    table = Table("worker", "granted", "refused", "USD spent")
    for name, granted, refused, micro_usd in did:
        table.add_row(name, str(granted), str(refused), f"{micro_usd / 1e6:.6f}")
    spent, limit = sum(micro_usd for *_, micro_usd in did), round(LIMIT * 1e6)
    console = Console()
    console.print(table)
    console.print(f"{spent / 1e6:.6f} USD spent of {LIMIT:.6f}, overspend {max(0, spent - limit) / 1e6:.6f}")


if __name__ == "__main__":
    said = argparse.ArgumentParser(description=__doc__)
    said.add_argument("--redis", metavar="URL", help="share a server instead of a file")
    said.add_argument("--file", metavar="PATH", help="keep the file, and look at it with `langgraph-guard budgets`")
    said.add_argument("--tenant", default="acme", help="whose budget: another one has not spent anything yet")
    options = said.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        show(share(options.redis or options.file or str(Path(folder) / "guard.db"), options.tenant))
