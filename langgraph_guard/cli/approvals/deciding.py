"""People's word on requests. The desk says whose counts; what was decided lets the run go on, if its graph is here."""

from __future__ import annotations

import sys
from argparse import Namespace
from typing import Any, Final

from langgraph_guard.backends.protocols import ApprovalBackend
from langgraph_guard.cli.approvals import runs, screen, store
from langgraph_guard.cli.approvals.screen import Screen
from langgraph_guard.cli.approvals.text import cut, legible, value
from langgraph_guard.errors import ActionRefused, ConfigError
from langgraph_guard.nodes.approval.asking import tell_decided
from langgraph_guard.policies.approval.actions import Action
from langgraph_guard.policies.approval.commands import Approval, Decide, Decided, Sweep, Withdraw

GUARD: Final = "approvals"
"""Who it is that tells of decisions which were made here."""

ELSEWHERE: Final = "its run asks all the same: is its graph on this desk, with this tenant and prefix?"


def decide(said: Namespace, backend: ApprovalBackend, shown: Screen) -> int:
    graph = _graph(said)  # what is wrong with it is found before anything is decided
    approval = _still_asked(said, store.found(backend, said.id), graph, backend)
    instead = _edited(approval.tool, said.args) if said.deed == "edit" else None
    if problem := _unseen(said, approval, instead, shown):
        return _lost(Decided(approval, False, problem), shown)
    command = Decide(
        backend.tenant,
        approval.id,
        said.by,
        said.deed,
        approval.digest,  # at this moment; when another stands there at the next, the desk refuses
        roles=said.roles,
        message=said.message,
        args=instead.text if instead else "",
        new_digest=instead.digest if instead else "",
    )
    reply: Decided | None = store.tell(backend, command)
    if reply is None:
        raise store.Unknown("the request is gone")
    if not reply.won:
        return _lost(reply, shown)
    if approval.is_open and not reply.approval.is_open:
        tell_decided(GUARD, reply.approval)
    return _go_on(said, reply, graph, backend, shown)


def resume(said: Namespace, backend: ApprovalBackend, shown: Screen) -> int:
    graph = runs.graph_at(said.graph)
    approval = store.found(backend, said.id)
    if approval.is_open:
        shown.show(_told(Decided(approval, False, "nobody has decided"), None), "nobody has decided it yet")
        return 1
    return _go_on(said, Decided(approval, True), graph, backend, shown)


def sweep(said: Namespace, backend: ApprovalBackend, shown: Screen) -> int:
    """LangGraph has no clock that wakes a run; a scheduler that calls this is one."""
    graph = _graph(said)
    before = store.page(backend, 0, 1).head.number
    closed: int = store.tell(backend, Sweep(backend.tenant))
    late = [deed.subject for deed in store.log(backend, before).deeds if deed.kind == "expired"]
    threads = {each.thread: each for each in store.approvals(backend, late)}
    outcomes = {thread: _tried(graph, each, said) for thread, each in threads.items()} if graph else {}
    lines = [f"{cut(thread, 60)}: {each if isinstance(each, str) else each.line}" for thread, each in outcomes.items()]
    ended = {thread: each if isinstance(each, str) else vars(each) for thread, each in outcomes.items()}
    told = {"closed": closed, "threads": list(threads), "runs": ended}
    shown.show(told, f"{closed} closed, whose time was over", *lines)
    return 1 if any(isinstance(each, str) for each in outcomes.values()) else 0


def _tried(graph: runs.Graph, approval: Approval, said: Namespace) -> runs.Outcome | str:
    """How a run went on, or why it failed: one that does must not keep the others waiting."""
    try:
        return runs.go_on(graph, approval, said)
    except runs.Failed as failed:
        return cut(f"failed: {failed}", 200)


# What was seen


def _still_asked(said: Namespace, approval: Approval, graph: runs.Graph | None, backend: ApprovalBackend) -> Approval:
    """The request; withdrawn if its run went on without it, which the desk need not have been told."""
    if graph is None or not approval.is_open or not runs.went_on(graph, approval, said):
        return approval
    return store.tell(backend, Withdraw(backend.tenant, approval.id)) or approval


def _unseen(said: Namespace, approval: Approval, instead: Action | None, shown: Screen) -> str:
    """Why the action that stands there is not one that somebody saw and agreed to; empty when it is."""
    if said.deed not in ("approve", "edit") or not approval.is_open:
        return ""
    if said.digest:
        return "" if approval.digest.startswith(said.digest) else "the action is another than the one that was seen"
    if said.yes:
        # Another request could be made that begins alike, and nobody looks here.
        return "" if said.id == approval.id else "with --yes say the whole id, or --digest instead"
    if shown.is_json or not sys.stdin.isatty():
        raise ConfigError("digest", "say which action you saw: --digest, as `show` has it, or --yes for any")
    shown.show(None, screen.request(approval))
    if instead is not None:
        shown.show(
            None, "", "to run instead:", screen.request(approval._replace(args=instead.text, digest=instead.digest))
        )
    print("Type yes to let it run: ", end="", flush=True)
    return "" if sys.stdin.readline().strip().lower() == "yes" else "nobody said yes"


def _edited(tool: str, args: Any) -> Action:
    try:
        return Action.edited(tool, args)
    except ActionRefused as refused:
        raise ConfigError("args", str(refused)) from refused


# What comes of it


def _lost(reply: Decided, shown: Screen) -> int:
    shown.show(_told(reply, None), cut(f"it did not count: {reply.problem}"))
    return 1


def _graph(said: Namespace) -> runs.Graph | None:
    return runs.graph_at(said.graph) if said.graph else None


def _go_on(said: Namespace, reply: Decided, graph: runs.Graph | None, backend: ApprovalBackend, shown: Screen) -> int:
    approval = reply.approval
    lines = [_line(approval)]
    if approval.is_open or graph is None:
        shown.show(_told(reply, None), *lines, *(() if approval.is_open else _how(approval)))
        return 0
    outcome = runs.go_on(graph, approval, said)
    # A batch is asked about as a whole until all of it is decided, and then no more.
    is_elsewhere = outcome.asks and not any(store.waiting(backend, approval.thread, 1))
    shown.show(_told(reply, outcome), *lines, ELSEWHERE if is_elsewhere else outcome.line)
    return 1 if is_elsewhere else 0


def _line(approval: Approval) -> str:
    if approval.is_open:
        return f"noted; {len(approval.votes)} of {approval.needed.quorum} people have agreed"
    who = f" by {legible(' and '.join(approval.decided_by))}" if approval.decided_by else ""
    return f"{cut(approval.tool, 80)} is {approval.state}{who}"


def _how(approval: Approval) -> tuple[str, ...]:
    """How the run finds it."""
    return (
        "the run finds it when it goes on:",
        f"  langgraph-guard approvals resume {approval.id} --graph MODULE:NAME",
        f'  or app.invoke(None, {{"configurable": {{"thread_id": {value(approval.thread)}}}}}) in its program',
        f"  (on Workers KV add --set {runs.AT_LEAST}=TOKEN, which saver.token(…) says where it was asked:",
        "  without it the thread may be seen as it was a minute ago)",
    )


def _told(reply: Decided, outcome: runs.Outcome | None) -> dict[str, Any]:
    run = None if outcome is None else vars(outcome)
    return {"approval": screen.as_json(reply.approval), "won": reply.won, "problem": reply.problem, "run": run}
