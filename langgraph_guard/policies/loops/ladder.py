"""What is done about a finding: nudge, block the tool, halt. A message climbs one rung, for the model must have read
what it was told before the next."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from langgraph_guard.policies.loops.calls import Call
from langgraph_guard.policies.loops.detectors import Finding

Rung = Literal["nudge", "block", "halt"]

RUNGS: Final[tuple[Rung, ...]] = ("nudge", "block", "halt")

Told = Mapping[str, tuple[Rung, int]]
"""By tool: the highest rung of the turn, and the round in which it was reached."""


@dataclass(frozen=True, slots=True)
class Step:
    """A finding, and the rung that it leads to."""

    rung: Rung
    finding: Finding


def climb(ladder: Sequence[Rung], from_: Rung | None) -> Rung:
    """The next rung of `ladder`; at its top there is no other."""
    above = [rung for rung in ladder if from_ is None or RUNGS.index(rung) > RUNGS.index(from_)]
    return above[0] if above else ladder[-1]


def steps(
    findings: Sequence[Finding], asked: Collection[Call], told: Told, now: int, ladder: Sequence[Rung]
) -> list[Step]:
    """What to do about the calls `asked` for in round `now`. The highest rung comes first.

    The same round, looked at again, climbs no further. A message that asks for nothing but what failed each time, and
    was to be blocked for it, halts: another refusal would tell the model what it was told.
    """
    found = [Step(_rung(each.tools, told, now, ladder), each) for each in findings if each.firm]
    if "halt" in ladder and _in_vain(found, asked, told):
        found = [Step("halt", step.finding) if step.rung == "block" else step for step in found]
    taken = {tool for step in found for tool in step.finding.tools}
    for tool in sorted({call.tool for call in asked} - taken):
        if told.get(tool, ("nudge", 0))[0] != "nudge":
            calls = [call.exact for call in asked if call.tool == tool]
            again = Finding("blocked", frozenset([tool]), len(calls), frozenset(calls))
            found.append(Step(_rung([tool], told, now, ladder), again))
    if "nudge" in ladder:
        found += [Step("nudge", each) for each in findings if not each.firm]
    return sorted(found, key=lambda step: -RUNGS.index(step.rung))


def _in_vain(found: Sequence[Step], asked: Collection[Call], told: Told) -> bool:
    """Whether each of `asked` failed whenever it was made, and the model was told so."""
    past = [step.finding for step in found if step.finding.failed and step.rung != "nudge"]
    failed = {call for finding in past if finding.tools <= told.keys() for call in finding.calls}
    return all(call.exact in failed for call in asked)


def _rung(tools: Iterable[str], told: Told, now: int, ladder: Sequence[Rung]) -> Rung:
    reached = [told[tool] for tool in tools if tool in told]
    rungs = [rung if when == now else climb(ladder, rung) for rung, when in reached]
    return max(rungs, key=RUNGS.index, default=climb(ladder, None))
