"""An assistant writes e-mails, and people say which of them are sent: asked here, decided in another terminal."""

import argparse
import os
import tempfile
from contextlib import contextmanager
from pathlib import Path

from langchain_core.tools import tool
from langgraph.graph import END, START, MessagesState, StateGraph

from langgraph_guard import ApprovalRule, HumanApprovalNode, SqliteBackend, ToolGuard, contract, idempotency_key
from langgraph_guard.testing import ScriptedChatModel, calls, says

FOLDER = Path(os.environ.get("APPROVE_EMAIL_FOLDER", Path(tempfile.gettempdir()) / "approve_email"))
REDIS = os.environ.get("LANGGRAPH_GUARD_REDIS_URL")  # the command line reads the same variable
TASK = "Tell ada@example.com that her refund of 40 EUR is on its way."


@contract(timeout=10, side_effects="external")
@tool
def send_email(to: str, text: str) -> str:
    """Send an e-mail."""
    # Your mail service goes here. Give it the key, if it takes one: it is the same at every attempt at this call.
    with (FOLDER / "sent.txt").open("a", encoding="utf-8") as sent:
        sent.write(f"{idempotency_key()} to {to}: {text}\n")
    return f"sent to {to}"


def assistant(messages):
    # Your model goes here. This one writes the mail that it is asked for, and says what came of it.
    if messages[-1].type == "tool":
        sent = messages[-1].text.startswith("sent to")
        return says("It is sent." if sent else f"It is not sent. I was told: {messages[-1].text}")
    return calls("send_email", {"to": "ada@example.com", "text": "Your refund of 40 EUR is on its way."})


@contextmanager
def stores():
    """What processes share: the approval desk, and the checkpointer where runs wait."""
    if REDIS:
        from langgraph_guard.backends.redis import RedisBackend
        from langgraph_guard.checkpoint.redis import RedisSaver

        with RedisBackend.from_url(REDIS) as backend, RedisSaver.from_conn_string(REDIS) as saver:
            yield backend, saver
        return
    from langgraph.checkpoint.sqlite import SqliteSaver

    FOLDER.mkdir(parents=True, exist_ok=True)
    with SqliteBackend(FOLDER / "guard.db") as backend, SqliteSaver.from_conn_string(str(FOLDER / "runs.db")) as saver:
        yield backend, saver


@contextmanager
def app():
    """The graph, for whoever starts a run or goes on with one: `--graph examples.approve_email.agent:app`."""
    with stores() as (backend, saver):
        rule = ApprovalRule(ttl="1d", separation_of_duties=True, description="it goes to a customer")
        approval = HumanApprovalNode({"send_*": rule}, backend)
        guard = ToolGuard(approvals=approval.policy)  # runs what was approved, nothing else, and once
        llm = ScriptedChatModel(assistant)

        def model(state: MessagesState):
            return {"messages": [llm.invoke(state["messages"])]}

        def after_model(state: MessagesState):
            return "approval" if state["messages"][-1].tool_calls else END

        graph = StateGraph(MessagesState)
        graph.add_node("model", model)
        graph.add_node("approval", approval)
        graph.add_node("tools", guard.node([send_email]))
        graph.add_edge(START, "model")
        graph.add_conditional_edges("model", after_model, ["approval", END])
        paths = approval.paths(execute="tools", revise="model", expired=END)
        graph.add_conditional_edges("approval", approval.route, paths)
        graph.add_edge("tools", "model")
        yield graph.compile(checkpointer=saver)


def propose(graph, thread):
    """Begin a run, and end this process while it waits."""
    # `user_id` is who asks; with separation_of_duties, somebody else decides.
    config = {"configurable": {"thread_id": thread, "user_id": "sales"}}
    graph.invoke({"messages": [("user", TASK)]}, config, durability="sync")
    [waits] = graph.get_state(config).interrupts
    [request] = waits.value["action_requests"]
    desk = "" if REDIS else f" --sqlite {FOLDER / 'guard.db'}"
    print(f"{request['description']}\nwaits for somebody's word. In another terminal:\n")
    print(f"  langgraph-guard approvals list{desk}")
    print(
        f"  langgraph-guard approvals approve {request['approval_id']}{desk} --graph examples.approve_email.agent:app"
    )


def tell(graph, thread):
    """What came of it."""
    print(graph.get_state({"configurable": {"thread_id": thread}}).values["messages"][-1].text)


def again(graph, thread):
    """Go back to before the mail was sent, and run the tool again."""
    history = graph.get_state_history({"configurable": {"thread_id": thread}})
    before = next((state for state in history if state.next == ("tools",)), None)
    if before is None:
        print("No mail was allowed yet: approve it first.")
        return
    graph.invoke(None, before.config, durability="sync")
    tell(graph, thread)


if __name__ == "__main__":
    said = argparse.ArgumentParser(description=__doc__)
    said.add_argument("what", nargs="?", default="propose", choices=("propose", "tell", "again"))
    said.add_argument("--thread", default="refund-1", help="which run")
    options = said.parse_args()
    with app() as compiled:
        {"propose": propose, "tell": tell, "again": again}[options.what](compiled, options.thread)
    if options.what != "propose" and (FOLDER / "sent.txt").exists():
        print(f"\nsent:\n{(FOLDER / 'sent.txt').read_text(encoding='utf-8')}", end="")
