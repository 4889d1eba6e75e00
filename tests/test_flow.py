"""Flows: written once, driven blocking or on an event loop, with errors thrown in where they happened."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Generator, Sequence
from typing import Any, TypeAlias

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langgraph_guard.flow import arun, run, to_the_end

Steps: TypeAlias = Generator[Sequence[str], list[str], Any]


def echo(batch: Sequence[str]) -> list[str]:
    """A store that answers with what it was told."""
    return [f"{command}!" for command in batch]


def later(execute: Callable[[Sequence[str]], list[str]]) -> Callable[[Sequence[str]], Awaitable[list[str]]]:
    """The same on an event loop, after everyone else had a turn."""

    async def aexecute(batch: Sequence[str]) -> list[str]:
        await asyncio.sleep(0)
        return execute(batch)

    return aexecute


class Till:
    """Executes commands, notes them, and raises at those it is told to."""

    def __init__(self, **errors: BaseException) -> None:
        self.errors = errors
        self.done: list[str] = []

    def __call__(self, batch: Sequence[str]) -> list[str]:
        for command in batch:
            if error := self.errors.get(command):
                raise error
            self.done.append(command)
        return echo(batch)


def two_steps() -> Steps:
    """Send the replies of the first batch as the second."""
    first = yield ["a", "b"]
    second = yield first
    return [*first, *second]


def careful() -> Steps:
    """Reserve, call, settle; release when the call fails."""
    yield ["reserve"]
    try:
        yield ["call"]
    except BaseException:
        yield ["release"]
        raise
    yield ["settle"]
    return "done"


# By hand


def test_a_flow_can_be_stepped_by_hand() -> None:
    """The protocol of a storage operation is tested without a store."""
    flow = two_steps()
    assert next(flow) == ["a", "b"]
    assert flow.send(["1", "2"]) == ["1", "2"]
    with pytest.raises(StopIteration) as stop:
        flow.send(["3"])
    assert stop.value.value == ["1", "2", "3"]


def test_an_error_is_thrown_in_by_hand() -> None:
    """What a flow does about a failing store is part of its protocol."""
    flow = careful()
    assert [next(flow), next(flow)] == [["reserve"], ["call"]]
    assert flow.throw(OSError("cut")) == ["release"]
    with pytest.raises(OSError, match="cut"):
        next(flow)


# Driven


def test_replies_go_in_and_the_result_comes_out() -> None:
    """The whole contract of `run` in one line."""
    assert run(two_steps(), echo) == ["a!", "b!", "a!!", "b!!"]


async def test_an_event_loop_gives_the_same_result() -> None:
    """Whoever swaps `invoke` for `ainvoke` expects nothing else to change."""
    assert await arun(two_steps(), later(echo)) == ["a!", "b!", "a!!", "b!!"]


def test_a_flow_that_asks_nothing_executes_nothing() -> None:
    """A guard with nothing to do makes no trip to the store."""

    def nothing() -> Steps:
        return 7
        yield  # type: ignore[unreachable]  # what makes it a generator

    till = Till()
    assert (run(nothing(), till), asyncio.run(arun(nothing(), later(till))), till.done) == (7, 7, [])


@pytest.mark.parametrize("error", [OSError("cut"), KeyboardInterrupt(), SystemExit(1)], ids=lambda e: type(e).__name__)
def test_an_error_is_raised_inside_the_flow_which_cleans_up_with_commands(error: BaseException) -> None:
    """Ctrl-C during a call must give its reservation back."""
    till = Till(call=error)
    with pytest.raises(type(error)) as caught:
        run(careful(), till)
    assert caught.value is error
    assert till.done == ["reserve", "release"]


@pytest.mark.parametrize("error", [OSError("cut"), asyncio.CancelledError()], ids=lambda e: type(e).__name__)
async def test_an_event_loops_error_is_raised_inside_the_flow(error: BaseException) -> None:
    """The same for a driver that fails while it is awaited."""
    till = Till(call=error)
    with pytest.raises(type(error)):
        await arun(careful(), later(till))
    assert till.done == ["reserve", "release"]


async def test_a_cancelled_task_cleans_up_with_commands() -> None:
    """LangGraph cancels the siblings of a node that failed; what they had reserved must not stay held."""
    till, calling = Till(), asyncio.Event()

    async def execute(batch: Sequence[str]) -> list[str]:
        if batch == ["call"]:
            calling.set()
            await asyncio.Event().wait()
        return till(batch)

    task = asyncio.create_task(arun(careful(), execute))
    await calling.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert till.done == ["reserve", "release"]


def test_a_flow_may_handle_an_error_and_go_on() -> None:
    """A store that is down for one command need not end the operation."""

    def patient() -> Steps:
        for _ in range(2):
            try:
                yield ["call"]
            except OSError:
                continue
        return (yield ["settle"])

    assert run(patient(), Till(call=OSError("cut"))) == ["settle!"]


def test_an_error_while_cleaning_up_is_thrown_in_too() -> None:
    """The second failure is the one that is raised, with the first as its context."""
    till = Till(call=OSError("first"), release=OSError("second"))
    with pytest.raises(OSError, match="second") as caught:
        run(careful(), till)
    assert str(caught.value.__context__) == "first"


@pytest.mark.parametrize("drive", [run, lambda flow, execute: asyncio.run(arun(flow, later(execute)))])
def test_a_flow_is_closed_when_it_ends(drive: Callable[[Steps, Till], Any]) -> None:
    """Half a flow that waits for the garbage collector would run its clean-up at a random moment."""
    for till in (Till(), Till(call=OSError("cut")), Till(reserve=OSError("cut"))):
        flow = careful()
        try:
            drive(flow, till)
        except OSError as error:
            assert str(error) == "cut"  # noqa: PT017 - one of three raises nothing
        with pytest.raises(StopIteration):
            next(flow)


def test_a_stop_iteration_from_a_store_is_no_result() -> None:
    """It would end the flow early and pass for its answer."""
    with pytest.raises(RuntimeError):
        run(careful(), Till(call=StopIteration("not a result")))


@given(
    st.lists(st.lists(st.sampled_from(["ok", "raise", "fatal"]), max_size=4), max_size=6),
    st.sampled_from(["raise", "handle", "clean up"]),
)
def test_both_drivers_do_the_same(script: list[list[str]], manner: str) -> None:
    """One flow, two worlds: same commands in the same order, same result, same error."""
    raised: dict[str, BaseException] = {"raise": OSError("cut"), "fatal": KeyboardInterrupt("stop")}

    def flow() -> Steps:
        heard: list[object] = []
        for batch in script:
            try:
                heard.append((yield batch))
            except BaseException as error:
                if manner == "raise":
                    raise
                if manner == "clean up":
                    heard.append((yield ["clean"]))
                heard.append(type(error).__name__)
        return heard

    def outcome(drive: Callable[[Till], Any]) -> tuple[object, list[str]]:
        till = Till(**raised)
        try:
            return drive(till), till.done
        except BaseException as error:  # KeyboardInterrupt is one of the answers
            return type(error), till.done

    def on_a_loop(till: Till) -> Any:
        return drive_by_hand(arun(flow(), later(till)))

    assert outcome(lambda till: run(flow(), till)) == outcome(on_a_loop)


def drive_by_hand(work: Any) -> Any:
    """Run a coroutine that only ever sleeps for nothing; an event loop would take Ctrl-C for its own."""
    while True:
        try:
            work.send(None)
        except StopIteration as stop:
            return stop.value


# To the end


@pytest.mark.parametrize("times", [1, 2, 5])
async def test_work_is_finished_although_its_caller_is_cancelled(times: int) -> None:
    """Money that was spent is settled even when nobody waits for the answer any more, and however often they say so."""
    settled, steps = [], 0

    async def settle() -> str:
        nonlocal steps
        for _ in range(10):
            await asyncio.sleep(0)
            steps += 1
        settled.append("r")
        return "closed"

    task = asyncio.create_task(to_the_end(settle()))
    for _ in range(times):
        await asyncio.sleep(0)
        task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (settled, steps) == (["r"], 10)


async def test_undisturbed_work_returns_its_result() -> None:
    """The usual case."""

    async def settle() -> str:
        await asyncio.sleep(0)
        return "closed"

    assert await to_the_end(settle()) == "closed"


async def test_the_works_own_error_is_raised() -> None:
    """A ledger that fails while it settles must be heard."""

    async def settle() -> None:
        await asyncio.sleep(0)
        raise OSError("cut")

    with pytest.raises(OSError, match="cut"):
        await to_the_end(settle())


async def test_a_cancellation_outranks_the_works_error() -> None:
    """Whoever cancelled waits for CancelledError; anything else would count as a failure of the sibling."""

    async def settle() -> None:
        for _ in range(5):
            await asyncio.sleep(0)
        raise OSError("cut")

    task = asyncio.create_task(to_the_end(settle()))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_work_that_is_cancelled_itself_is_not_waited_for() -> None:
    """A loop that shuts down cancels every task; waiting for one of them would hang it."""
    inner: asyncio.Future[asyncio.Task[Any] | None] = asyncio.get_running_loop().create_future()

    async def settle() -> None:
        inner.set_result(asyncio.current_task())
        await asyncio.Event().wait()

    task = asyncio.create_task(to_the_end(settle()))
    work = await inner
    assert work is not None
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_timeout_cancels_only_after_the_work() -> None:
    """`asyncio.timeout` around a call must not leave its reservation half closed."""
    settled = []

    async def settle() -> None:
        for _ in range(5):  # turns of the loop, in the first of which the time-out falls
            await asyncio.sleep(0)
        settled.append("r")

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await to_the_end(settle())
    assert settled == ["r"]


async def test_a_waiter_that_is_thrown_away_says_nothing_odd() -> None:
    """A coroutine is closed when its loop has gone; that is no error of its own."""

    async def settle() -> None:
        await asyncio.sleep(0)

    waiter = to_the_end(settle())
    waiter.send(None)
    waiter.close()
    await asyncio.sleep(0)
