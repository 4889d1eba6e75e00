"""What is still in the context of a long conversation, for each summarizer: facts, the goal, and room.

One scripted summarizer, with the same capacity, the same counter and the same conversations for all of them: five of
each shape, of which the means are shown. A fact counts as kept if its sentence stands word by word in the prompt of the
call at hand.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.util import find_spec
from statistics import mean
from typing import Final

from langchain_core.messages import HumanMessage
from langchain_core.messages.utils import get_buffer_string

from benchmarks.measure import Row
from benchmarks.recall_peers import CONTENDERS, LANGCHAIN, LANGMEM, LIMIT, OURS, TUNED
from benchmarks.recall_summarizer import Summarizer
from benchmarks.recall_talks import GOAL, Shape, Talk, share
from benchmarks.vocabulary import NoVocabulary, encodings, finding
from langgraph_guard import TokenCounter

CAPACITY: Final = 1_024
"""Tokens of a summary, and of an answer of the summarizer."""

MODEL: Final = "gpt-4o"
TURNS: Final = (50, 100, 200, 400)
TINY: Final = (25, 60)
TALKS: Final = 5
"""Conversations of each shape. By themselves they differ by three points in a hundred. The tiny size has one."""

COMPACTIONS: Final = (1, 3, 10)
GROWTH: Final = 1.2
PEERS: Final = (LANGCHAIN, LANGMEM, TUNED)
WITH_A_GOAL: Final = (LANGCHAIN, LANGMEM)


@dataclass
class Run:
    """One conversation with one summarizer, or the means of several. `kept`: the share of what was planted by then,
    after so many turns; `after`: the same at each compaction; `sizes`: tokens of the summary at each; `sent`: to the
    summarizer."""

    turns: int
    talks: int = 1
    kept: dict[int, float] = field(default_factory=dict)
    after: list[float] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    prompts: list[int] = field(default_factory=list)
    with_goal: int = 0
    sent: list[int] = field(default_factory=list)

    @property
    def within(self) -> float:
        """The share of calls that kept the limit."""
        return sum(size <= LIMIT for size in self.prompts) / len(self.prompts)

    @property
    def goal(self) -> float:
        return self.with_goal / len(self.prompts)

    @property
    def growth(self) -> float:
        return self.sizes[min(COMPACTIONS[-1], len(self.sizes)) - 1] / self.sizes[COMPACTIONS[1] - 1]


@cache
def played(name: str, shape: Shape, turns: tuple[int, ...]) -> Run:
    """The conversations of a shape together, as far as all of them got."""
    runs = [play(name, Talk(shape, seed), turns) for seed in range(TALKS if turns == TURNS else 1)]
    return Run(
        turns=sum(run.turns for run in runs),
        talks=len(runs),
        kept={turn: mean(run.kept[turn] for run in runs) for turn in turns},
        after=[mean(each) for each in zip(*(run.after for run in runs), strict=False)],
        sizes=[round(mean(each)) for each in zip(*(run.sizes for run in runs), strict=False)],
        prompts=[size for run in runs for size in run.prompts],
        with_goal=sum(run.with_goal for run in runs),
        sent=[tokens for run in runs for tokens in run.sent],
    )


def play(name: str, talk: Talk, turns: tuple[int, ...]) -> Run:
    """One conversation from its first to its last turn. The model's answers are part of the script."""
    count = TokenCounter(MODEL)
    summarizer = Summarizer(CAPACITY, count, lambda text: count([HumanMessage(text)]))
    contender = CONTENDERS[name](summarizer, count)
    new, run = talk.opening(), Run(turns[-1])
    for turn in range(1, turns[-1] + 1):
        new.append(talk.question(turn))
        text = ""
        for more in talk.rest(turn):
            known = len(summarizer.sent)
            prompt, new = contender.prompt(new), list(more)
            text = get_buffer_string(prompt)
            run.prompts.append(count(prompt))
            run.with_goal += GOAL in text
            if len(summarizer.sent) > known:
                run.after.append(share(talk.planted, text))
                run.sizes.append(sum(count([each]) for each in prompt if contender.is_summary(each)))
        if turn in turns:
            run.kept[turn] = share(talk.planted, text)
    run.sent = summarizer.sent
    return run


def rows(rounds: int = 3) -> Iterator[Row]:
    turns = TURNS if rounds > 1 else TINY
    try:
        found = encodings()
    except NoVocabulary as why:
        yield Row.skipped("recall", str(why))
        return
    peers = [name for name in PEERS if is_here(name)]
    with finding(found):
        for peer in peers:
            yield overall(peer, turns)
        for shape in SHAPES:
            for peer in peers:
                yield from compared(shape, played(OURS, shape, turns), peer, played(peer, shape, turns))
    yield from (Row.skipped("recall", f"{name} is not installed") for name in PEERS if name not in peers)


SHAPES: Final[tuple[Shape, ...]] = ("chat", "agent")


def is_here(name: str) -> bool:
    return find_spec("langmem" if name == LANGMEM else "langchain") is not None


def overall(peer: str, turns: tuple[int, ...]) -> Row:
    """Of all lengths of both conversations together."""
    ours, theirs = (
        mean(kept for shape in SHAPES for kept in played(name, shape, turns).kept.values()) for name in (OURS, peer)
    )
    goal = ("≥ 1×", ours >= theirs) if peer in WITH_A_GOAL else ("–", None)
    return Row(f"recall: facts kept overall, against {peer}", percent(ours), percent(theirs), over(ours, theirs), *goal)


def compared(shape: Shape, ours: Run, peer: str, theirs: Run) -> Iterator[Row]:
    against = f"against {peer}"
    lengths = "/".join(map(str, ours.kept))
    yield row(f"{shape}, facts kept after {lengths} turns, {against}", [*ours.kept.values()], [*theirs.kept.values()])
    points = [at for at in COMPACTIONS if at <= len(ours.after)]
    named = "/".join(map(str, points))
    kept = [[run.after[at - 1] for at in points if at <= len(run.after)] for run in (ours, theirs)]
    if all(kept):
        yield row(f"{shape}, facts kept after {named} compactions, {against}", *kept)
    yield all_of(f"{shape}, goal kept, {against}", ours.goal, theirs.goal)
    longest = [f" (longest {max(run.prompts):,})" for run in (ours, theirs)]
    yield all_of(f"{shape}, limit of {LIMIT:,} kept, {against}", ours.within, theirs.within, longest)
    if len(ours.sizes) >= COMPACTIONS[1] <= len(theirs.sizes):
        held = len(ours.sizes) >= COMPACTIONS[-1]
        goal = (f"grows ≤ {GROWTH}×", ours.growth <= GROWTH) if held else ("–", None)
        claim = f"recall: {shape}, tokens of the summary after {'/'.join(map(str, COMPACTIONS))} compactions, {against}"
        yield Row(claim, sizes(ours), sizes(theirs), ours.growth / theirs.growth, *goal)


def row(claim: str, ours: Sequence[float], theirs: Sequence[float]) -> Row:
    return Row(f"recall: {claim}", percent(*ours), percent(*theirs), over(mean(ours), mean(theirs)))


def all_of(claim: str, ours: float, theirs: float, more: Sequence[str] = ("", "")) -> Row:
    shown = percent(ours) + more[0], percent(theirs) + more[1]
    return Row(f"recall: {claim}", *shown, over(ours, theirs), "100 %", ours == 1)


def over(ours: float, theirs: float) -> float:
    """How many times as much; for a peer that keeps nothing, as if it kept a thousandth."""
    return ours / max(theirs, 1e-3)


def percent(*shares: float) -> str:
    return f"{'/'.join(f'{each:.1%}'.rstrip('%').removesuffix('.0') for each in shares)} %"


def sizes(run: Run) -> str:
    known = [f"{run.sizes[at - 1]:,}" for at in COMPACTIONS if at <= len(run.sizes)]
    return f"{'/'.join(known)} ({run.sizes[-1]:,} after {len(run.sizes)})"
