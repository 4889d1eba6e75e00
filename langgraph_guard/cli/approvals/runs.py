"""A run that waits for people, gone on with from another terminal.

What was decided stands at the desk. The run needs no answer then, only another go: its approval node runs again, looks
at the desk, and finds how it ended. So nothing that is sent here can decide anything, and whose word counts does not
depend on whose command reached the run first.
"""

from __future__ import annotations

import asyncio
import inspect
import sys
from argparse import Namespace
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import AsyncExitStack, ExitStack
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Final, TypeAlias

from langgraph_guard.errors import ConfigError
from langgraph_guard.flow import arun, run
from langgraph_guard.policies.approval.commands import ANONYMOUS, SYSTEM, Approval

Call: TypeAlias = tuple[str, Mapping[str, Any]]
RunFlow: TypeAlias = Generator[Sequence[Call], list[Any], "Outcome"]
Graph: TypeAlias = Callable[[], Any]
"""Makes the graph, or is what makes it."""

NAME: Final = "MODULE:NAME of a compiled graph, or of a function without arguments that makes one"


@dataclass(frozen=True)
class Outcome:
    """`resumed`: whether the run waited for approvals, and went on. `asks`: whether it asks for some now; `next`: nodes
    that it stands before."""

    thread: str
    resumed: bool
    asks: bool
    next: tuple[str, ...]

    @property
    def line(self) -> str:
        if not self.resumed:
            return "its run does not wait for anybody's word; it was left as it is"
        if self.asks:
            return "its run waits for other decisions"
        return "its run went on, and ended" if not self.next else "its run went on, and stands before another node"


class Failed(Exception):
    """The graph raised. The decision stands."""


def graph_at(name: str) -> Graph:
    """What `name` names, from here or from where Python looks. Raises `ConfigError`."""
    module, colon, attribute = name.partition(":")
    if not (module and colon and attribute):
        raise ConfigError("graph", f"must be {NAME}")
    if (here := str(Path.cwd())) not in sys.path:
        sys.path.insert(0, here)
    try:
        made: Any = import_module(module)
        for part in attribute.split("."):
            made = getattr(made, part)
    except Exception as error:
        raise ConfigError("graph", f"cannot be imported: {type(error).__name__}: {error}") from error
    if not (_is_graph(made) or callable(made)):
        raise ConfigError("graph", f"must be {NAME}, is a {type(made).__name__}")
    return (lambda: made) if _is_graph(made) else made


def go_on(graph: Graph, approval: Approval, said: Namespace) -> Outcome:
    """Let the run of `approval` go on, as whoever asked for it, if it waits for approvals. Raises `Failed`."""
    flow = _flow(approval.thread, _config(approval, dict(said.set)))
    try:
        return asyncio.run(_async(graph, flow)) if said.is_async else _sync(graph, flow)
    except ConfigError:
        raise
    except Exception as error:
        raise Failed(f"{type(error).__name__}: {error}") from error


def _flow(thread: str, config: Mapping[str, Any]) -> RunFlow:
    (before,) = yield [("get_state", {"config": config})]
    if not _asked(before):
        # Whatever it waits for, it is not this; to go on there would be to decide something else.
        return Outcome(thread, False, False, tuple(before.next))
    yield [("invoke", {"input": None, "config": config, "durability": "sync"})]
    (after,) = yield [("get_state", {"config": config})]
    return Outcome(thread, True, _asked(after), tuple(after.next))


def _config(approval: Approval, more: Mapping[str, str]) -> Mapping[str, Any]:
    """A reviewer's command must not turn the run into the reviewer's: its budget and scopes are those of who asked."""
    nobody = approval.requested_by in (ANONYMOUS, SYSTEM)
    asker = {} if nobody else {"user_id": approval.requested_by}
    return {"configurable": {**asker, **more, "thread_id": approval.thread}}


def _asked(state: Any) -> bool:
    """Whether a run waits for approvals."""
    return any(_asks(waits.value) for waits in state.interrupts)


def _asks(payload: Any) -> bool:
    """Whether the payload of an interrupt names an approval, in whichever shape."""
    if isinstance(payload, (list, tuple)):
        return any(_asks(each) for each in payload)
    if isinstance(payload, Mapping):
        return "approval_id" in payload or _asks(payload.get("action_requests"))
    return False


def _sync(graph: Graph, flow: RunFlow) -> Outcome:
    with ExitStack() as stack:
        made = graph()
        made = _checked(stack.enter_context(made) if hasattr(made, "__enter__") else made)

        def execute(calls: Sequence[Call]) -> list[Any]:
            return [getattr(made, name)(**terms) for name, terms in calls]

        return run(flow, execute)


async def _async(graph: Graph, flow: RunFlow) -> Outcome:
    async with AsyncExitStack() as stack:
        made = graph()
        made = await made if inspect.isawaitable(made) else made
        if hasattr(made, "__aenter__"):
            made = await stack.enter_async_context(made)
        _checked(made)

        async def execute(calls: Sequence[Call]) -> list[Any]:
            return [await getattr(made, f"a{name}")(**terms) for name, terms in calls]

        return await arun(flow, execute)


def _is_graph(found: Any) -> bool:
    return hasattr(found, "invoke") and hasattr(found, "get_state")


def _checked(found: Any) -> Any:
    if not _is_graph(found):
        raise ConfigError("graph", f"must be a compiled graph, is a {type(found).__name__}")
    if not getattr(found, "checkpointer", True):
        raise ConfigError("graph", "has no checkpointer, so no run of it can go on")
    return found
