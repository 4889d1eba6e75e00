"""Questions to people and their answers: asked until nothing is open, and each answer heard for what it was about.

LangGraph gives a node that runs again the answers that it was given before, by the order of its questions, and it gives
an answer also to a node whose state was changed since the question. So the desk is told which action each question
showed, before anybody can see it, and an answer counts for that action alone.
"""

from __future__ import annotations

import json
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from langgraph.errors import GraphInterrupt
from langgraph.types import interrupt

from langgraph_guard.events import emit
from langgraph_guard.nodes.approval import payloads
from langgraph_guard.nodes.approval.call import Call
from langgraph_guard.nodes.approval.reviewers import Person
from langgraph_guard.policies.approval.actions import hashed
from langgraph_guard.policies.approval.answers import Decision, decode
from langgraph_guard.policies.approval.commands import SYSTEM, Approval, Decide, Decided, Look

NOT_SHOWN: Final = "the action is another than the one that was asked about"

Asking = Generator[Sequence[Any], list[Any], None]


@dataclass(frozen=True)
class Question:
    """Calls that are asked about together, for the `rounds`th time. A round is about the same calls as every other,
    whatever was decided meanwhile, or an answer that is heard again would mean other calls."""

    calls: Sequence[Call]
    rounds: int

    @property
    def source(self) -> str:
        """What its answer is known by, whoever runs the node."""
        return f"{hashed('batch', *(_approval(call).id for call in self.calls))[:16]}.{self.rounds}"

    @property
    def tenant(self) -> str:
        return _approval(self.calls[0]).tenant

    def shows(self, approval: Approval) -> Decide:
        """That this question shows the action: a word that counts for nothing, because it is on no action, and that
        the desk remembers."""
        source = f"{self.source}.{approval.digest}"
        return Decide(self.tenant, approval.id, SYSTEM, "reject", "", source=source)

    def showed(self, approval: Approval) -> bool:
        return f"!{self.shows(approval).heard_as}" in approval.heard

    @property
    def was_asked(self) -> bool:
        """Whether anybody could see it, so that an answer to it may be among those that LangGraph has."""
        approvals = [_approval(call) for call in self.calls]
        return any(self.showed(each) or self.showed(each._replace(digest=each.first_digest)) for each in approvals)

    @property
    def is_open(self) -> bool:
        return any(call.waits for call in self.calls)

    def look(self) -> Look:
        return Look(self.tenant, tuple(_approval(call).id for call in self.calls))


@dataclass(frozen=True)
class Interview:
    """How one node asks: on which screen, and whether answers must name what they are about."""

    guard: str
    format: payloads.Format
    strict: bool

    def hold(self, calls: Sequence[Call], reviewer: Person) -> Asking:
        """Ask about `calls` until none is open. `reviewer`: who answers in this run."""
        groups = [[call] for call in calls] if self.format == "per_call" else [calls]
        problems: list[str] = []
        rounds = 0
        while True:
            rounds += 1
            questions = [each for group in groups if (each := Question(group, rounds)).is_open or each.was_asked]
            if not questions:
                return
            told, problems = tuple(dict.fromkeys(problems)), []
            for question in questions:
                problems += yield from self._ask(question, told, reviewer)

    def _ask(
        self, question: Question, problems: Sequence[str], reviewer: Person
    ) -> Generator[Sequence[Any], list[Any], Sequence[str]]:
        """Ask, or hear what was answered: what of it did not count, in words for whoever answers next. An answer that
        comes after the decision is heard too, so that who gave it is told."""
        try:
            answer = interrupt(self._payload(question.calls, problems))
        except GraphInterrupt:
            if not question.is_open:
                return ()  # decided elsewhere, and nobody answered
            waiting = [_approval(call) for call in question.calls if call.waits]
            yield [question.shows(approval) for approval in waiting]
            for approval in waiting:
                emit("approval.asked", guard=self.guard, tool=approval.tool, quorum=approval.needed.quorum)
            raise
        return (yield from self._hear(question, answer, reviewer))

    def _payload(self, calls: Sequence[Call], problems: Sequence[str]) -> Any:
        approvals = [_approval(call) for call in calls]
        args = {approval.id: json.loads(approval.args) for approval in approvals}
        if self.format == "per_call":
            return payloads.single(approvals[0], args[approvals[0].id], problems)
        shape = payloads.inbox if self.format == "inbox" else payloads.batched
        return shape(approvals, args, problems)

    def _hear(
        self, question: Question, answer: Any, reviewer: Person
    ) -> Generator[Sequence[Any], list[Any], Sequence[str]]:
        """Tell the desk what was answered; what did not count, in words for whoever answers next."""
        said = decode(answer, [call.asked for call in question.calls], strict=self.strict)
        for call in question.calls:
            call.unheard = NOT_SHOWN if _approval(call).id in said.decisions and _is_stale(question, call) else ""
        told = [call for call in question.calls if _approval(call).id in said.decisions and not call.unheard]
        words = [_decide(call, said.decisions[_approval(call).id], reviewer, question.source) for call in told]
        *replies, found = yield [*words, question.look()]
        for call, reply in zip(told, replies, strict=True):
            call.unheard = _problem(reply)
        for call, approval in zip(question.calls, found, strict=True):
            self._now(call, approval)
        return [*said.problems, *(call.unheard for call in question.calls if call.unheard)]

    def _now(self, call: Call, approval: Approval | None) -> None:
        """The call as the desk has it now. Two who hear the same answer at the same moment may both say so."""
        was_open = call.waits
        call.approval = approval or call.approval
        if was_open and not call.waits and _approval(call).state != "expired":
            tell_decided(self.guard, _approval(call))


def tell_decided(guard: str, approval: Approval) -> None:
    """Tell who listens that a request was closed, and how: wherever that was."""
    emit(
        "approval.decided",
        guard=guard,
        tool=approval.tool,
        decision="edited" if approval.edited and approval.may_run else approval.state,
        quorum=approval.needed.quorum,
        seconds=max(0.0, (approval.decided_at or approval.at) - approval.at),
    )


def _approval(call: Call) -> Approval:
    assert call.approval is not None
    return call.approval


def _is_stale(question: Question, call: Call) -> bool:
    """Whether the question that was answered did not show what the call is now."""
    return call.waits and not question.showed(_approval(call))


def _problem(reply: Decided | None) -> str:
    return reply.problem if reply is not None and not reply.won else ""


def _decide(call: Call, decision: Decision, reviewer: Person, source: str) -> Decide:
    approval, edited = _approval(call), decision.edited
    return Decide(
        tenant=approval.tenant,
        id=approval.id,
        by=reviewer.id,
        type=decision.type,
        digest=approval.digest,
        roles=reviewer.roles,
        message=decision.message,
        args=edited.text if edited else "",
        new_digest=edited.digest if edited else "",
        source=source,
    )
