"""What a graph asks of Workers KV: requests, which are limited, and operations, which are billed.

Counts are those of Cloudflare's own simulator, where there is one, and are taken where HTTP leaves the process. The
simulator is near and answers in milliseconds; a service that is further away lets more writes share a request.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cache
from typing import Final

from langgraph.checkpoint.memory import InMemorySaver
from rich.console import Group, RenderableType
from rich.table import Table

from benchmarks import cloudflare_d1 as d1
from benchmarks import growth
from benchmarks.cloudflare_counts import FIVE, Pace, invokes, latest, marginal, stored, typical
from benchmarks.cloudflare_d1 import D1
from benchmarks.cloudflare_prices import (
    API_REQUESTS_PER_MINUTE,
    ASSUMED,
    Operations,
    by_d1,
    by_gateway,
    by_objects,
    by_rest,
    usd,
)
from benchmarks.cloudflare_wire import Connect, in_memory, in_simulator
from benchmarks.measure import Row
from benchmarks.peers import BOTH, MEMORY, How
from langgraph_guard.checkpoint.cloudflare.saver import GROUP_WINDOW

TRIALS: Final = 5
"""Of a run that is alone: on a busy machine a write may leave before the checkpoint that it waits for."""

AGENTS: Final = Pace(node=(0.5, 1.5), request=0.05)


@dataclass(frozen=True)
class Sizes:
    """How many runs at once; steps beyond five, from which a superstep is reckoned; turns of a conversation.

    `agents`: how long it takes when models are asked and Cloudflare is some way off; then runs are out of step.
    `goal`: bulk writes of a superstep, when so many runs share them.
    """

    parallel: int = 50
    more: int = 10
    turns: int = 200
    agents: Pace = AGENTS
    goal: float | None = 0.2


WINDOWS: Final = (GROUP_WINDOW, 0.01)
"""Seconds that writes wait for others: the saver's own, and hardly any."""

FULL: Final = Sizes()
TINY: Final = Sizes(parallel=3, more=2, turns=3, agents=Pace((0.001, 0.003), 0.001), goal=None)


@dataclass
class Measured:
    """Operations, of one invoke of five steps and of one superstep more. Keys: how, runs, and group commit or not.

    `agents`: of a superstep, by `group_window`.
    """

    sizes: Sizes
    why_not: list[str] = field(default_factory=list)
    invoke: dict[tuple[How, int, bool], Operations] = field(default_factory=dict)
    superstep: dict[tuple[How, int, bool], Operations] = field(default_factory=dict)
    agents: dict[float, Operations] = field(default_factory=dict)
    exit: Operations = field(default_factory=dict)
    latest: Operations = field(default_factory=dict)
    stored: tuple[int, int] = (0, 0)
    d1: dict[int, Operations] = field(default_factory=dict)
    d1_superstep: Operations = field(default_factory=dict)
    d1_latest: Operations = field(default_factory=dict)


@cache
def measured(sizes: Sizes) -> Measured:
    found = Measured(sizes)
    with ExitStack() as stack:
        _count(_place(stack, found), found)
        _count_in_memory(stack.enter_context(in_memory()), found)
    if why_not := d1.missing():
        found.why_not.append(why_not)
    else:
        _count_d1(found)
    return found


def _place(stack: ExitStack, found: Measured) -> Connect:
    if found.sizes is TINY:
        return stack.enter_context(in_memory())
    try:
        return stack.enter_context(in_simulator())
    except (RuntimeError, TimeoutError) as error:
        found.why_not.append(f"Cloudflare's simulator, counted in memory instead: {str(error).splitlines()[0]}")
        return stack.enter_context(in_memory())


def _count(connect: Connect, found: Measured) -> None:
    for how in BOTH:
        for runs in (1, found.sizes.parallel):
            for grouped in (True, False):
                key, trials = (how, runs, grouped), TRIALS if runs == 1 and grouped else 1
                short, long = FIVE, FIVE + found.sizes.more
                one, many = (
                    typical([invokes(connect, how, runs, steps, group_commit=grouped) for _ in range(trials)])
                    for steps in (short, long)
                )
                found.invoke[key], found.superstep[key] = one, marginal(one, many, found.sizes.more)
    found.exit = invokes(connect, "async", 1, FIVE, durability="exit")
    found.latest = latest(connect)


def _count_in_memory(connect: Connect, found: Measured) -> None:
    """What must not depend on how fast a simulator is on this machine."""
    for window in WINDOWS:
        found.agents[window] = marginal(
            *(
                invokes(connect, "async", found.sizes.parallel, steps, pace=found.sizes.agents, group_window=window)
                for steps in (FIVE, FIVE + found.sizes.more)
            ),
            found.sizes.more,
        )
    memory = InMemorySaver()
    (peer,) = growth.after_turns(memory, lambda: growth.in_memory(memory), (found.sizes.turns,))
    found.stored = stored(connect, found.sizes.turns), peer


def _count_d1(found: Measured) -> None:
    found.d1 = {runs: d1.invokes(runs) for runs in (1, found.sizes.parallel)}
    long = d1.invokes(1, FIVE + found.sizes.more)
    found.d1_superstep = marginal(found.d1[1], long, found.sizes.more)
    found.d1_latest = d1.latest()


# What is claimed


def rows(rounds: int = 9) -> Iterator[Row]:
    found = measured(FULL if rounds > 1 else TINY)
    for how in BOTH:
        yield from of_supersteps(found, how)
        yield from of_invokes(found, how)
    yield from of_agents(found)
    peer = f"{found.d1_latest['requests']:g}" if found.d1 else "–"
    asked = found.latest["requests"]
    claim = "cloudflare: requests for the latest state, in a process that just started, against D1"
    yield Row(claim, f"{asked:g}", peer, asked / found.d1_latest["requests"] if found.d1 else 0, "≤ 2", asked <= 2)
    ours, theirs = found.stored
    claim = f"cloudflare: bytes of {found.sizes.turns} turns of add_messages, each checkpoint whole, against {MEMORY}"
    yield Row(claim, growth.mb(ours), growth.mb(theirs), ours / theirs)
    yield from of_cost(found)
    yield from (Row.skipped("cloudflare", why_not) for why_not in found.why_not)


def of_supersteps(found: Measured, how: How) -> Iterator[Row]:
    """How many requests the writes of a superstep take, with those of other runs and without."""
    for runs, goal in ((1, 1.0), (found.sizes.parallel, found.sizes.goal)):
        ours, alone = (found.superstep[how, runs, grouped]["bulk writes"] for grouped in (True, False))
        claim = f"cloudflare: {how} bulk writes per superstep, {_runs(runs)}, against no group commit"
        yield Row(claim, f"{ours:.2f}", f"{alone:.2f}", ours / alone, *_goal(ours, goal))


def _goal(ours: float, goal: float | None) -> tuple[str, bool | None]:
    return ("–", None) if goal is None else (f"≤ {goal:g}", round(ours, 3) <= goal)


def of_agents(found: Measured) -> Iterator[Row]:
    """The same where runs are out of step, as agents are; async, in memory, with requests that take as long as said."""
    pace, alone = found.sizes.agents, found.superstep["async", found.sizes.parallel, False]["bulk writes"]
    took = f"nodes of {pace.node[0]:g} to {pace.node[1]:g} s, requests of {pace.request:g} s"
    for window, more in found.agents.items():
        ours, goal = more["bulk writes"], found.sizes.goal if window == GROUP_WINDOW else None
        claim = f"cloudflare: bulk writes per superstep, {_runs(found.sizes.parallel)}, {took}, group_window={window:g}"
        yield Row(claim, f"{ours:.2f}", f"{alone:.2f}", ours / alone, *_goal(ours, goal))


def of_invokes(found: Measured, how: How) -> Iterator[Row]:
    """What an invoke asks for, and what of it is billed."""
    one = found.invoke[how, 1, True]
    if found.d1:
        step, theirs = found.superstep[how, 1, True]["requests"], found.d1_superstep["requests"]
        claim = f"cloudflare: {how} requests per superstep, one run, against {D1}"
        yield Row(claim, f"{step:.2f}", f"{theirs:.2f}", step / theirs, "< 1×", step < theirs)
    for name in ("keys written", "lists"):
        without = found.invoke[how, 1, False][name]
        claim = f"cloudflare: {how} {name} per five-step invoke, each billed, against no group commit"
        yield Row(claim, f"{one[name]:g}", f"{without:g}", one[name] / without)
    for runs, peer in found.d1.items():
        ours, theirs = found.invoke[how, runs, True]["requests"], peer["requests"]
        claim = f"cloudflare: {how} requests per five-step invoke, {_runs(runs)}, against {D1}"
        yield Row(claim, f"{ours:.1f}", f"{theirs:.1f}", ours / theirs, "< 1×", ours < theirs)


def of_cost(found: Measured) -> Iterator[Row]:
    """USD per million supersteps of one run, beside D1's. Alone, so no request is shared."""
    if not found.d1:
        return
    counted, peer = found.superstep["async", 1, True], usd(by_d1(found.d1_superstep))
    for name, ours in _bills(counted).items():
        claim = f"cloudflare: USD per million supersteps, {name}, against D1"
        yield Row(claim, f"{usd(ours):.2f}", f"{peer:.2f}", usd(ours) / peer)


def _bills(counted: Operations) -> dict[str, Operations]:
    return {
        "KV by REST": by_rest(counted),
        "KV by a gateway": by_gateway(counted),
        "Durable Objects by a gateway": by_objects(counted),
    }


def _runs(runs: int) -> str:
    return "one run" if runs == 1 else f"{runs} runs at once"


# All of it


def every_count() -> RenderableType:
    found = measured(FULL)
    return Group(_counts(found), _costs(found), ASSUMED)


def _counts(found: Measured) -> Table:
    names = [*found.latest]
    table = Table("", *names, "invokes a minute by REST", title="per five-step invoke; per superstep more")
    for (how, runs, grouped), one in found.invoke.items():
        label = f"{how}, {_runs(runs)}, {'group commit' if grouped else 'each write alone'}"
        more = found.superstep[how, runs, grouped]
        shown = (f"{one[name]:.1f}; {more[name]:.2f}" for name in names)
        table.add_row(label, *shown, f"{API_REQUESTS_PER_MINUTE / one['requests']:.0f}")
    for label, one in (('async, one run, durability="exit"', found.exit), ("the latest state", found.latest)):
        table.add_row(
            label, *(f"{one[name]:.1f}" for name in names), f"{API_REQUESTS_PER_MINUTE / one['requests']:.0f}"
        )
    for runs, peer in found.d1.items():
        minute = f"{API_REQUESTS_PER_MINUTE / peer['requests']:.0f}"
        table.add_row(f"{D1}, {_runs(runs)}", f"{peer['requests']:.1f}", *([""] * (len(names) - 1)), minute)
    return table


def _costs(found: Measured) -> Table:
    table = Table("", "a million supersteps", "a million five-step invokes", title="USD, one run, async")
    more, one = found.superstep["async", 1, True], found.invoke["async", 1, True]
    for name, (step, invoke) in ((name, (bill, _bills(one)[name])) for name, bill in _bills(more).items()):
        table.add_row(name, f"{usd(step):.2f}", f"{usd(invoke):.2f}")
    table.add_row('KV by REST, durability="exit"', "", f"{usd(by_rest(found.exit)):.2f}")
    if found.d1:
        table.add_row(D1, f"{usd(by_d1(found.d1_superstep)):.2f}", f"{usd(by_d1(found.d1[1])):.2f}")
    return table
