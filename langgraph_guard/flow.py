"""A flow says what to do; `run` and `arun` are the only place where sync and async differ.

A flow is a generator. It yields a batch of commands, receives the list of their replies, and returns its result:

    def transfer(amount):
        (grant,) = yield [Reserve(...)]
        ...
        return grant

    run(transfer(5), ledger.execute)            # in a thread
    await arun(transfer(5), ledger.aexecute)    # on an event loop

What `execute` raises is raised inside the flow, at its `yield`, so a flow can clean up with further commands.
That holds for `KeyboardInterrupt` and for cancellation too. A flow that is closed (`GeneratorExit`) may not yield.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Generator, Sequence
from typing import Any, TypeVar

Command = TypeVar("Command")
Reply = TypeVar("Reply")
Result = TypeVar("Result")

Flow = Generator[Sequence[Command], list[Reply], Result]


def run(flow: Flow[Command, Reply, Result], execute: Callable[[Sequence[Command]], list[Reply]]) -> Result:
    """Drive `flow` to its result with a blocking `execute`."""
    try:
        batch = next(flow)
        while True:
            try:
                replies = execute(batch)
            except BaseException as error:
                batch = flow.throw(error)
            else:
                batch = flow.send(replies)
    except StopIteration as stop:
        result: Result = stop.value
        return result
    finally:
        flow.close()


async def arun(
    flow: Flow[Command, Reply, Result], execute: Callable[[Sequence[Command]], Awaitable[list[Reply]]]
) -> Result:
    """Drive `flow` to its result with an awaitable `execute`."""
    try:
        batch = next(flow)
        while True:
            try:
                replies = await execute(batch)
            except BaseException as error:
                batch = flow.throw(error)
            else:
                batch = flow.send(replies)
    except StopIteration as stop:
        result: Result = stop.value
        return result
    finally:
        flow.close()


async def to_the_end(work: Coroutine[Any, Any, Result]) -> Result:
    """Finish `work` even when the caller is cancelled meanwhile; the cancellation is raised afterwards.

    For closing what is open: money that was reserved must be settled although nobody waits for the answer any more.
    """
    task = asyncio.ensure_future(work)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError as error:
            if task.cancelled():
                raise
            cancelled = error
        except BaseException:
            if not task.done():
                raise
    if cancelled is not None:
        task.exception()
        raise cancelled
    return task.result()
