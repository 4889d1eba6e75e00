"""What is done about what was found, as an update of the state."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from langchain_core.messages import ToolMessage

from langgraph_guard.events import emit
from langgraph_guard.nodes import verdicts
from langgraph_guard.nodes.guard import Update
from langgraph_guard.nodes.loops.seen import Asked, Seen
from langgraph_guard.policies.loops import Step
from langgraph_guard.policies.loops.wording import detail, message
from langgraph_guard.state.views import read
from langgraph_guard.tools.results.advice import ERROR_TYPES, WAITS, ErrorType
from langgraph_guard.tools.results.result import ToolResult

DECIDED: Final = 8
"""Steps of one message that are put on record, whatever a model finds to repeat."""


@dataclass(frozen=True)
class Visit:
    """One visit of a guard: the state that it saw, and the steps to take, the highest rung first."""

    guard: str
    messages_key: str
    state: Any
    seen: Seen
    steps: Sequence[Step]
    at: int

    def update(self) -> Update:
        self._tell()
        if self.steps and self.steps[0].rung == "halt":
            return {**self._verdict("halt"), **self._record(), **self._remember()}
        answers = self._answers()
        said = {self.messages_key: answers} if answers else self._say()
        return {**said, **self._verdict("revise" if answers else "ok"), **self._record(), **self._remember()}

    def _tell(self) -> None:
        for step in self.steps[:DECIDED]:
            kind, count = step.finding.kind, step.finding.count
            emit("loop.found", guard=self.guard, kind=kind, tool=_tools(step), count=count, rung=step.rung)

    def _verdict(self, route: str) -> Update:
        said = {"route": route, "reason": "" if route == "ok" else "loop", "turn": self.seen.turn}
        before = (read(self.state, "guard_verdicts") or {}).get(self.guard) or {}
        if {name: before.get(name) for name in said} == said:
            return {}
        return {"guard_verdicts": {self.guard: {**said, "at": self.at}}}

    def _record(self) -> Update:
        """The steps that are new as decisions, and the halt if one of them is."""
        made = [self._decision(step) for step in self._new_steps()]
        halts = [each for each in made if each["route"] == "halt"]
        return {**({"guard_decisions": made} if made else {}), **({"guard_halt": halts[0]} if halts else {})}

    def _new_steps(self) -> list[Step]:
        new: dict[frozenset[str], Step] = {}
        for step in self.steps:
            known = all(self.seen.told.get(tool) == (step.rung, self.seen.round) for tool in step.finding.tools)
            if step.finding.firm and not known:
                new.setdefault(step.finding.tools, step)
        return list(new.values())[:DECIDED]

    def _decision(self, step: Step) -> dict[str, Any]:
        finding = step.finding
        facts = {"kind": finding.kind, "tool": _tools(step), "count": finding.count, "detail": detail(finding)}
        return verdicts.decide(
            self.guard, verdicts.Verdict(step.rung, "loop", facts), self.seen.turn, self._turn_seq(), self.at
        )

    def _turn_seq(self) -> int:
        """The turn's number as the budget counts, where there is one. A halt of an earlier turn must not outrank it."""
        if seq := (read(self.state, "guard_turn") or {}).get("seq"):
            return int(seq)
        halt = read(self.state, "guard_halt") or {}
        return max(self.seen.seq, (halt.get("turn_seq") or 0) + (halt.get("turn") != self.seen.turn))

    def _remember(self) -> Update:
        reached: dict[str, tuple[str, int]] = {}
        for step in self.steps:
            for tool in step.finding.tools if step.finding.firm else ():
                reached.setdefault(tool, (step.rung, self.seen.round))
        news = {tool: at for tool, at in reached.items() if self.seen.told.get(tool) != at}
        told = {tool: {"rung": rung, "round": now} for tool, (rung, now) in news.items()}
        if not told and not self.seen.news:
            return {}
        calls = dict(self.seen.news)
        return {"guard_loops": {"turn": self.seen.turn, "turn_seq": self.seen.seq, "calls": calls, "told": told}}

    def _answers(self) -> list[ToolMessage]:
        """The answer to each call, when no call may run and some of that is this guard's doing; else none."""
        mine = _said(self.seen.asked, self.steps, self.at)
        refusals = [
            mine.get(each.id) if _refuses(mine.get(each.id)) else self._refusal(each) for each in self.seen.asked
        ]
        if not all(refusals) or not any(map(_refuses, mine.values())):
            return []
        return [self._answer(each, said) for each, said in zip(self.seen.asked, refusals, strict=True) if said]

    def _refusal(self, asked: Asked) -> Mapping[str, Any] | None:
        """Another guard's refusal of a call."""
        said = (read(self.state, "guard_calls") or {}).get(asked.id) or {}
        return next((each for guard, each in said.items() if guard != self.guard and _refuses(each)), None)

    def _answer(self, asked: Asked, said: Mapping[str, Any]) -> ToolMessage:
        kind: ErrorType = next((each for each in ERROR_TYPES if each == said.get("error_type")), "denied")
        later = ((said.get("retry_at") or 0) - self.at) / 1_000
        after = later if later > 0 and kind in WAITS else None
        result = ToolResult.error(kind, said.get("message") or "", retry_after=after)
        return result.to_message(asked.id, asked.call.tool)

    def _say(self) -> Update:
        """A verdict for each call that there is something to say of. What was said of an earlier call of the same id is
        taken back: some models give the same one again and again."""
        before = read(self.state, "guard_calls") or {}
        said = _said(self.seen.asked, self.steps, self.at)
        for each in self.seen.asked:
            if each.id not in said and self.guard in (before.get(each.id) or {}):
                said[each.id] = {"verdict": "pass", "at": self.at}
        news = {
            id: {self.guard: verdict} for id, verdict in said.items() if not _stands(before, id, self.guard, verdict)
        }
        return {"guard_calls": news} if news else {}


def _said(asked: Sequence[Asked], steps: Sequence[Step], at: int) -> dict[str, dict[str, Any]]:
    """What is said of calls, by their ids. Where several have the same, a refusal stands for all of them."""
    blocked = {tool: step for step in reversed(steps) if step.rung == "block" for tool in step.finding.tools}
    nudged = {exact: step for step in reversed(steps) if step.rung == "nudge" for exact in step.finding.calls}
    said: dict[str, dict[str, Any]] = {}
    for id, call in asked:
        if step := blocked.get(call.tool):
            said[id] = {"verdict": "refuse", "error_type": "denied", "message": message(step), "at": at}
        elif step := nudged.get(call.exact):
            said.setdefault(id, {"verdict": "note", "message": message(step), "at": at})
    return said


def _refuses(verdict: Mapping[str, Any] | None) -> bool:
    return verdict is not None and verdict.get("verdict") == "refuse"


def _stands(before: Mapping[str, Any], id: str, guard: str, verdict: Mapping[str, Any]) -> bool:
    """Whether the state says so already, whenever that was."""
    known = (before.get(id) or {}).get(guard) or {}
    return {**known, "at": verdict["at"]} == verdict


def _tools(step: Step) -> str:
    return ", ".join(sorted(step.finding.tools))
