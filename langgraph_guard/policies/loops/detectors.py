"""What goes in circles. Each detector compares the calls that are asked for now with those of the turn before them.

A call alone proves nothing: paging, polling and `next()` repeat themselves and get on. Wherever a result was seen, a
call counts as a repetition only if the result brought nothing new.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import takewhile
from typing import Final, Literal

from langgraph_guard.policies.loops.calls import Call, Limits, Round, rounds

Kind = Literal["identical", "similar", "cycle", "retrace", "unchanged", "blocked"]

FAILED: Final = "!"
"""What the digest of a failure begins with."""

DOWN: Final = frozenset(
    f"!{error_type}" for error_type in ("transient", "timeout", "rate_limit", "circuit_open", "denied", "validation")
)
"""Failures that are not an answer to the arguments: other arguments do not make a difference."""

NO_NEWS: Final = frozenset({"", "!denied", "!circuit_open"})
"""What comes back of a call that was not made, or whose result nobody saw."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found: of which tools, how often, and the `exact` digests of the calls that it is about.

    One that is not `firm` may be how a healthy run looks. It is worth a word, and nothing more. `failed`: the calls
    that it is about have failed each time.
    """

    kind: Kind
    tools: frozenset[str]
    count: int
    calls: frozenset[str]
    firm: bool = True
    failed: bool = False


def find(past: Sequence[Call], asked: Sequence[Call], limits: Limits) -> list[Finding]:
    """What is in circles once `asked`, the calls of one message, are made. `past` is in the order of rounds.

    The finding that says most comes first. The order of parallel calls makes no difference.
    """
    if not asked:
        return []
    detectors = (cycle, identical, similar, retrace, unchanged)
    return [finding for detect in detectors for finding in detect(past, asked, limits)]


def identical(past: Sequence[Call], asked: Sequence[Call], limits: Limits) -> Iterator[Finding]:
    """The same tool with the same arguments. Copies within a message count each."""
    before = _grouped(past, lambda call: call.exact)
    for exact, copies in sorted(_grouped(asked, lambda call: call.exact).items()):
        made = before.get(exact, [])
        count = _repeated(made, len(copies))
        if count >= limits.of(copies[0].tool):
            failed = bool(made) and all(call.result.startswith(FAILED) for call in made)
            yield replace(_about("identical", copies, count), failed=failed)


def similar(past: Sequence[Call], asked: Sequence[Call], limits: Limits) -> Iterator[Finding]:
    """The same but for case, punctuation and spaces, where the results were the same too."""
    before = _grouped((call for call in past if call.result not in NO_NEWS), lambda call: call.near)
    for near, copies in sorted(_grouped(asked, lambda call: call.near).items()):
        answered = before.get(near, [])
        limit = limits.of(copies[0].tool)
        if len({call.exact for call in (*answered, *copies)}) > 1:
            streak, _ = _streak(answered)
            if streak >= 2 and streak + len(copies) >= limit:
                yield _about("similar", copies, streak + len(copies))


def cycle(past: Sequence[Call], asked: Sequence[Call], limits: Limits) -> Iterator[Finding]:
    """Rounds that follow each other as they did before, with a period of two and more, and bring nothing new."""
    walked = list(rounds(past))
    news = _news(walked)
    steps = [*(_sign(each) for each in walked), _sign(asked)]
    for period in range(2, limits.longest_cycle + 1):
        length = _length(steps, news, period)
        if len(set(steps[-period:])) == 1:
            continue  # The same message again and again has a period of one.
        members = {call.tool for each in (*walked[len(walked) - period + 1 :], asked) for call in each}
        count = -(-length // period)
        if count >= limits.together(members):
            yield _about("cycle", asked, count, members)
            return


def retrace(past: Sequence[Call], asked: Sequence[Call], limits: Limits) -> Iterator[Finding]:
    """Rounds in a row, in any order, of calls that were all made before in the turn, with results that were seen."""
    if limits.no_progress is None:
        return
    walked = [*rounds(past), tuple(asked)]
    news = [*_news(walked[:-1]), False]
    made: set[str] = set()
    trodden = []
    for each, new in zip(walked, news, strict=True):
        exacts = {call.exact for call in each}
        trodden.append(not new and exacts <= made)
        made |= exacts
    count = sum(1 for _ in takewhile(bool, reversed(trodden)))
    tools = {call.tool for each in walked[len(walked) - count :] for call in each}
    if count >= max(limits.no_progress, limits.together(tools)):
        yield _about("retrace", asked, count)


def unchanged(past: Sequence[Call], asked: Sequence[Call], limits: Limits) -> Iterator[Finding]:
    """One tool that says the same round after round, whatever it is asked.

    Firm where the failure has nothing to do with the arguments, and, after twice as many rounds, where the arguments
    differ in nothing but numbers. Otherwise it may be how it should be: ten letters sent, ten times "sent".
    """
    if limits.no_progress is None:
        return
    before = _grouped(past, lambda call: call.tool)
    for tool, copies in sorted(_grouped(asked, lambda call: call.tool).items()):
        same = _same_results(list(rounds(before.get(tool, []))))
        count, most = len(same) + 1, max(limits.no_progress, limits.of(tool))
        shapes = {call.shape for each in (*same, copies) for call in each}
        firm = count >= most and (same[-1][0].result in DOWN or (len(shapes) == 1 and count >= 2 * most))
        if firm or (count >= most and count % most == 0):
            yield _about("unchanged", copies, count, firm=firm)


def _about(
    kind: Kind, calls: Iterable[Call], count: int, tools: Iterable[str] | None = None, firm: bool = True
) -> Finding:
    calls = list(calls)
    whose = {call.tool for call in calls} if tools is None else tools
    return Finding(kind, frozenset(whose), count, frozenset(call.exact for call in calls), firm)


def _grouped(calls: Iterable[Call], key: Callable[[Call], str]) -> dict[str, list[Call]]:
    groups: defaultdict[str, list[Call]] = defaultdict(list)
    for call in calls:
        groups[key(call)].append(call)
    return groups


def _repeated(before: Sequence[Call], now: int) -> int:
    """How often a call has been made with `now` more, since it last brought something new."""
    streak, answers = _streak(before)
    if streak == 1 and answers > 1:
        return 1  # It brings something new each time, as `next()` does.
    return streak + now


def _streak(calls: Sequence[Call]) -> tuple[int, int]:
    """How many calls came since the last new result, the one that brought it included, and how many results differ."""
    streak, seen = 0, set[str]()
    for each in rounds(calls):
        new = {call.result for call in each} - seen - NO_NEWS
        streak = len(each) - len(new) + 1 if new else streak + len(each)
        seen |= new
    return streak, len(seen)


def _news(walked: Iterable[Round]) -> list[bool]:
    """Whether each round brought a result that its call had not brought before."""
    seen: set[tuple[str, str]] = set()
    found = []
    for each in walked:
        results = {(call.exact, call.result) for call in each if call.result not in NO_NEWS}
        found.append(not results <= seen)
        seen |= results
    return found


def _sign(calls: Iterable[Call]) -> tuple[str, ...]:
    return tuple(sorted(call.exact for call in calls))


def _length(steps: Sequence[tuple[str, ...]], news: Sequence[bool], period: int) -> int:
    """How many of the newest steps repeat those of one period before, that period included."""
    last = len(steps) - 1
    repeated = takewhile(
        lambda at: steps[at] == steps[at - period] and (at == last or not news[at]), range(last, period - 1, -1)
    )
    return period + sum(1 for _ in repeated)


def _same_results(walked: Sequence[Round]) -> list[Round]:
    """The newest rounds in which every result was the same."""
    if not walked or not walked[-1][0].result:
        return []
    result = {walked[-1][0].result}
    return list(takewhile(lambda each: {call.result for call in each} == result, reversed(walked)))[::-1]
