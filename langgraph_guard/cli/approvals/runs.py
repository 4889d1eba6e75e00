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
from typing import Any, Final, TypeAlias, TypeVar

from langchain_core.messages import BaseMessage

from langgraph_guard.errors import ConfigError
from langgraph_guard.flow import arun, run
from langgraph_guard.nodes.approval.abandoned import abandoned
from langgraph_guard.policies.approval.commands import ANONYMOUS, SYSTEM, Approval

Call: TypeAlias = tuple[str, Mapping[str, Any]]
T = TypeVar("T")
Flow: TypeAlias = Generator[Sequence[Call], list[Any], T]
Graph: TypeAlias = Callable[[], Any]
"""Makes the graph, or is what makes it."""

SAVER: Final = "checkpointer"
"""What a flow asks for instead of a call."""

AT_LEAST: Final = "kv_at_least"
"""Under which a saver on Workers KV is told in `configurable` what it must see."""

EARLY: Final = (
    f"; its saver may not see yet what another process wrote: say --set {AT_LEAST}=TOKEN, from saver.token(…)"
)

NAME: Final = "MODULE:NAME of a compiled graph, or of a function without arguments that makes one"


@dataclass(frozen=True)
class Outcome:
    """`resumed`: whether the run waited for approvals, and went on. `asks`: whether it asks for some now; `next`: nodes
    that it stands before. `token`: where a saver's writes are seen late elsewhere, what the next one passes to see
    these. `early`: nobody passed one here, so the thread may have been seen as it was before."""

    thread: str
    resumed: bool
    asks: bool
    next: tuple[str, ...]
    token: str = ""
    early: bool = False

    @property
    def line(self) -> str:
        return f"{self._went}{EARLY if self.early and not self.resumed else ''}{self._token}"

    @property
    def _token(self) -> str:
        return f"\nwhoever goes on elsewhere passes {AT_LEAST}={self.token} in its configurable" if self.token else ""

    @property
    def _went(self) -> str:
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
    told = dict(said.set)
    return _driven(graph, _flow(approval.thread, _config(approval, told), early=AT_LEAST not in told), said)


def went_on(graph: Graph, approval: Approval, said: Namespace) -> bool:
    """Whether the history says that the run went on without the call. Where that cannot be seen, it did not."""
    try:
        return _driven(graph, _look(approval, _config(approval, dict(said.set))), said)
    except Failed:
        return False


def _driven(graph: Graph, flow: Flow[T], said: Namespace) -> T:
    try:
        return asyncio.run(_async(graph, flow)) if said.is_async else _sync(graph, flow)
    except ConfigError:
        raise
    except Exception as error:
        raise Failed(f"{type(error).__name__}: {error}") from error


def _flow(thread: str, config: Mapping[str, Any], early: bool) -> Flow[Outcome]:
    (before,) = yield [("get_state", {"config": config})]
    resumed = _asked(before)
    if resumed:  # Whatever else it waits for, it is not this; to go on there would be to decide something else.
        yield [("invoke", {"input": None, "config": config, "durability": "sync"})]
        (before,) = yield [("get_state", {"config": config})]
    saver = yield [(SAVER, {})]
    token = _token(saver[0], thread)
    return Outcome(thread, resumed, _asked(before), tuple(before.next), token or "", early and token is not None)


def _token(saver: Any, thread: str) -> str | None:
    """What the next reader passes; `None` where everybody sees everything."""
    said = saver.token(thread) if callable(getattr(saver, "token", None)) else None
    return said if isinstance(said, str) else None


def _look(approval: Approval, config: Mapping[str, Any]) -> Flow[bool]:
    """Only what a history says counts: one that is seen late says less."""
    (state,) = yield [("get_state", {"config": config})]
    if any(_names(waits.value, approval.id) for waits in state.interrupts):
        return False
    lists = (each for each in dict(state.values).values() if isinstance(each, list))
    histories = ([each for each in found if isinstance(each, BaseMessage)] for found in lists)
    return any(left.call["id"] == approval.call_id for found in histories for left in abandoned(found))


def _config(approval: Approval, more: Mapping[str, str]) -> Mapping[str, Any]:
    """A reviewer's command must not turn the run into the reviewer's: its budget and scopes are those of who asked."""
    nobody = approval.requested_by in (ANONYMOUS, SYSTEM)
    asker = {} if nobody else {"user_id": approval.requested_by}
    return {"configurable": {**asker, **more, "thread_id": approval.thread}}


def _asked(state: Any) -> bool:
    """Whether a run waits for approvals."""
    return any(_asks(waits.value) for waits in state.interrupts)


def _names(payload: Any, id: str) -> bool:
    """Whether it asks about this request."""
    if isinstance(payload, (list, tuple)):
        return any(_names(each, id) for each in payload)
    if isinstance(payload, Mapping):
        return payload.get("approval_id") == id or _names(payload.get("action_requests"), id)
    return False


def _asks(payload: Any) -> bool:
    """Whether the payload of an interrupt names an approval, in whichever shape."""
    if isinstance(payload, (list, tuple)):
        return any(_asks(each) for each in payload)
    if isinstance(payload, Mapping):
        return "approval_id" in payload or _asks(payload.get("action_requests"))
    return False


def _sync(graph: Graph, flow: Flow[T]) -> T:
    with ExitStack() as stack:
        made = graph()
        made = _checked(stack.enter_context(made) if hasattr(made, "__enter__") else made)

        def execute(calls: Sequence[Call]) -> list[Any]:
            return [made.checkpointer if name == SAVER else getattr(made, name)(**terms) for name, terms in calls]

        return run(flow, execute)


async def _async(graph: Graph, flow: Flow[T]) -> T:
    async with AsyncExitStack() as stack:
        made = graph()
        made = await made if inspect.isawaitable(made) else made
        if hasattr(made, "__aenter__"):
            made = await stack.enter_async_context(made)
        _checked(made)

        async def execute(calls: Sequence[Call]) -> list[Any]:
            return [
                made.checkpointer if name == SAVER else await getattr(made, f"a{name}")(**terms)
                for name, terms in calls
            ]

        return await arun(flow, execute)


def _is_graph(found: Any) -> bool:
    return hasattr(found, "invoke") and hasattr(found, "get_state")


def _checked(found: Any) -> Any:
    if not _is_graph(found):
        raise ConfigError("graph", f"must be a compiled graph, is a {type(found).__name__}")
    if not getattr(found, "checkpointer", True):
        raise ConfigError("graph", "has no checkpointer, so no run of it can go on")
    return found
