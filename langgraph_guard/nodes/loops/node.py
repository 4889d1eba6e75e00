"""`LoopCheckNode`: it reads the calls of the turn, asks the policies, and says what they decided."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from langchain_core.runnables import RunnableConfig

from langgraph_guard.backends.protocols import Clock, SystemClock
from langgraph_guard.errors import ConfigError
from langgraph_guard.nodes.guard import Guard, Update
from langgraph_guard.nodes.loops.seen import seen_in
from langgraph_guard.nodes.loops.visit import Visit
from langgraph_guard.policies.loops import MOST, RUNGS, Limits, Rung, find, steps
from langgraph_guard.state.views import messages_of, read


class LoopCheckNode(Guard):
    """Stands after the model and before the tools. `.route` says `ok`, `revise` or `halt`.

    Within a turn it finds: a call made `repeats` times (whatever the order of its arguments; copies in one message
    count each); one that differs in case, punctuation or spaces alone, with the same results; cycles of 2 to
    `longest_cycle` messages, in their `repeats`th round; and, `no_progress` messages in a row, calls that were all made
    before, or a tool that says the same whatever it is asked. A result that is new is progress, and the count starts
    anew: paging and `next()` are left alone. Instants, uuids and ids of requests in a result are not news.

    Each message that goes on climbs the `ladder` by one rung. `nudge`: the calls run, and `ToolGuard` puts a note
    beside the results (a plain `ToolNode` does not: the model reads nothing of it). `block`: the tool's calls are
    refused for the rest of the turn, by `ToolGuard`; if no call of a message is left, the answers are written here and
    the route is `revise`. `halt`: the model asks all the same; `FinishNode` says why. A message that asks for
    nothing but calls that failed each time, and that the model was told of, halts at once.

    `per_tool`: another `repeats` for the tools that it names. `polls`: tools that may give the same answer 30 times, as
    those whose contract says `polls` do (`contracts`: anything with `.get(name)`, such as `ToolGuard(…).contracts`). A
    tool whose answer other tools change, one that runs the tests for example, belongs there too.

    The newest 128 calls of a turn are remembered in `guard_loops`, as digests. They outlast restarts, interrupts and
    summaries; a new human message starts anew. Raises `ConfigError` for a threshold that is not from 2 to 32.
    """

    passing = ("ok",)
    stopping = ("revise", "halt")

    def __init__(
        self,
        repeats: int = 3,
        *,
        no_progress: int | None = 5,
        longest_cycle: int = 4,
        per_tool: Mapping[str, int] | None = None,
        polls: Collection[str] = (),
        contracts: Any = None,
        ladder: Sequence[Rung] = RUNGS,
        name: str = "loop",
        messages_key: str = "messages",
        clock: Clock | None = None,
    ) -> None:
        super().__init__(name, messages_key)
        _check_counts(repeats, no_progress, longest_cycle, per_tool)
        _check_ladder(ladder)
        self.limits = Limits(repeats, no_progress, longest_cycle, dict(per_tool or {}), _polling(polls, contracts))
        self.ladder = tuple(ladder)
        self._clock = _clock(clock)

    def invoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Update:
        seen = seen_in(input, messages_of(input, self.messages_key))
        asked = [each.call for each in seen.asked]
        taken = steps(find(seen.past, asked, self.limits), asked, seen.told, seen.round, self.ladder)
        return Visit(self.name, self.messages_key, input, seen, taken, round(self._clock.now() * 1_000)).update()

    async def ainvoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Update:
        return self.invoke(input, config, **kwargs)


def _polling(polls: Collection[str], contracts: Any) -> Callable[[str], bool]:
    """Whether a tool is meant to be called again and again. Contracts are asked late: a node brings its tools' own."""
    if isinstance(polls, str) or not all(isinstance(each, str) for each in polls):
        raise ConfigError("polls", "must be names of tools, such as ('wait_for',)")
    if contracts is not None and not callable(getattr(contracts, "get", None)):
        raise ConfigError("contracts", f"must have get(name), is a {type(contracts).__name__}")
    names = frozenset(polls)
    return lambda tool: tool in names or (contracts is not None and bool(read(contracts.get(tool), "polls")))


def _check_counts(repeats: object, no_progress: object, longest_cycle: object, per_tool: object) -> None:
    _check_count("repeats", repeats)
    if no_progress is not None:
        _check_count("no_progress", no_progress)
    if isinstance(longest_cycle, bool) or longest_cycle not in (1, 2, 3, 4):
        raise ConfigError("longest_cycle", "must be 2, 3 or 4 messages; 1 looks for none")
    if per_tool is not None and not isinstance(per_tool, Mapping):
        raise ConfigError("per_tool", f"must be thresholds by tool, is a {type(per_tool).__name__}")
    for tool, count in (per_tool or {}).items():
        _check_count(f"per_tool[{tool!r}]", count)


def _check_count(field: str, count: object) -> None:
    if isinstance(count, bool) or not isinstance(count, int) or not 2 <= count <= MOST:
        raise ConfigError(field, f"must be a number of calls from 2 to {MOST}")


def _check_ladder(ladder: object) -> None:
    rungs = list(ladder) if isinstance(ladder, list | tuple) else []
    if not rungs or rungs != [rung for rung in RUNGS if rung in rungs]:
        raise ConfigError("ladder", f"must be one or more of {', '.join(RUNGS)}, in this order")


def _clock(clock: Clock | None) -> Clock:
    if clock is not None and not isinstance(clock, Clock):
        raise ConfigError("clock", f"must have now, sleep and asleep; is a {type(clock).__name__}")
    return clock or SystemClock()
