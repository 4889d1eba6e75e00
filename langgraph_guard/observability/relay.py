"""From the guards' events to the run that they happen in.

A guard says what it does with `emit`, inline and in its node's context. The relay finds the run in LangChain's own
context variable and hands the event to that run's handlers as a custom event, `guard.<name>`, with the run's id. Not
by OpenTelemetry's current span: handlers of an async run work in copied contexts, so a node never sees their span.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Collection, Mapping
from typing import Any, Final, Protocol
from weakref import WeakSet

from langchain_core.callbacks import BaseCallbackHandler, BaseCallbackManager
from langchain_core.callbacks.manager import handle_event
from langchain_core.runnables.config import var_child_runnable_config

from langgraph_guard.events import VERSION, subscribe
from langgraph_guard.forks import Lock
from langgraph_guard.observability.charges import EVENTS
from langgraph_guard.observability.decisions import decided

PREFIX: Final = "guard."

_log = logging.getLogger(__name__)


def relay(event: str, attributes: Mapping[str, Any]) -> None:
    """Hand an event to the handlers of the current run. Outside a run, and for what was merely allowed, do nothing."""
    manager = current()
    if event in EVENTS:
        _tell_others(event, attributes, manager.handlers if manager is not None else ())
    if manager is None or decided(event, attributes).decision == "allow":
        return
    inline, waiting = _apart(manager.handlers)
    data = {"v": VERSION, **attributes}
    if inline:
        said = {"run_id": manager.parent_run_id, "tags": manager.tags, "metadata": manager.metadata}
        handle_event(inline, "on_custom_event", "ignore_custom_event", f"{PREFIX}{event}", data, **said)
    for handler in waiting:
        _later(handler, f"{PREFIX}{event}", data, manager)


def current() -> BaseCallbackManager | None:
    """The callback manager of the run that this code is part of."""
    manager = (var_child_runnable_config.get() or {}).get("callbacks")
    if isinstance(manager, BaseCallbackManager) and manager.parent_run_id is not None and manager.handlers:
        return manager
    return None


class Billed(Protocol):
    """A handler that is told of charges outside its runs as well: a model call may be a run by itself, of which its
    meter knows nothing."""

    def on_charge(self, event: str, said: Mapping[str, Any]) -> None: ...


_billed: Final[WeakSet[Billed]] = WeakSet()
_changing = Lock()


def charged(handler: Billed) -> None:
    """Tell `handler` for as long as it lives."""
    with _changing:
        _billed.add(handler)


def _tell_others(event: str, attributes: Mapping[str, Any], told: Collection[object]) -> None:
    with _changing:
        others = [each for each in _billed if each not in told]
    for each in others:
        try:
            each.on_charge(event, attributes)
        except Exception as error:  # its text may quote what was charged
            _log.warning("%s failed on %s: %s", type(each).__name__, event, type(error).__name__)


def _apart(handlers: list[BaseCallbackHandler]) -> tuple[list[BaseCallbackHandler], list[BaseCallbackHandler]]:
    """The handlers to call here, and those to call in a task of the running loop.

    LangChain would run the latter's coroutines in another thread and block the loop until they are done: one that
    waits for something of this loop would wait for ever.
    """
    waiting = [each for each in handlers if asyncio.iscoroutinefunction(each.on_custom_event)]
    if not waiting or not _in_a_loop():
        return handlers, []
    return [each for each in handlers if each not in waiting], waiting


def _in_a_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


_tasks: Final[set[asyncio.Task[None]]] = set()
"""A loop keeps weak references alone: without this a task may vanish before it ran."""


def _later(handler: BaseCallbackHandler, name: str, data: dict[str, Any], manager: BaseCallbackManager) -> None:
    if handler.ignore_custom_event:
        return
    task = asyncio.get_running_loop().create_task(_tell(handler, name, data, manager))
    _tasks.add(task)
    task.add_done_callback(_tasks.discard)


async def _tell(handler: BaseCallbackHandler, name: str, data: dict[str, Any], manager: BaseCallbackManager) -> None:
    try:
        run_id: Any = manager.parent_run_id  # there is one, or there would be no run to tell of
        told: Any = handler.on_custom_event(name, data, run_id=run_id, tags=manager.tags, metadata=manager.metadata)
        await told
    except Exception as error:  # its text may quote the run
        _log.warning("%s failed on %s: %s", type(handler).__name__, name, type(error).__name__)


class Relay:
    """The one subscription of `relay`, however many listen: each event is told once."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._users = 0
        self._unsubscribe: Callable[[], None] | None = None

    def start(self) -> Callable[[], None]:
        """Relay until the returned function is called by everybody who started."""
        with self._lock:
            self._users += 1
            self._unsubscribe = self._unsubscribe or subscribe(relay)
        stopped = threading.Event()

        def stop() -> None:
            if not stopped.is_set():
                stopped.set()
                self._stop()

        return stop

    def _stop(self) -> None:
        with self._lock:
            self._users -= 1
            if not self._users and self._unsubscribe is not None:
                self._unsubscribe()
                self._unsubscribe = None


shared: Final = Relay()
