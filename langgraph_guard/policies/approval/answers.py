"""What people answered, in whatever shape a user interface said it, matched to what was asked.

    {"decisions": [{"type": "approve"}, …]}                 LangChain's `HITLResponse`, agent-chat-ui
    {"<approval or tool call id>": {"type": "approve"}, …}  by id
    [{"type": "accept", "args": None}]                      `HumanResponse`s, Agent Inbox
    {"type": "edit", "edited_action": {"name", "args"}}     one decision, also LangChain's per-call mode
    True, "approve", "no", …                                booleans and words

A decision that names an approval, a tool call or a digest counts for that one alone. Without a name, decisions count by
position where there are as many as there are calls; one by itself where one call was asked about; and one that refuses
for all of them. Everything else decides nothing, and is told as a problem.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from langgraph_guard.errors import ActionRefused
from langgraph_guard.policies.approval.actions import Action
from langgraph_guard.policies.approval.rules import DecisionType

LONGEST_MESSAGE: Final = 10_000
"""Characters of what a reviewer says."""

_TYPES: Final[Mapping[str, DecisionType]] = {
    **dict.fromkeys(("approve", "approved", "accept", "accepted", "yes", "y", "ok", "true"), "approve"),
    **dict.fromkeys(("reject", "rejected", "deny", "denied", "ignore", "ignored", "no", "n", "false"), "reject"),
    **dict.fromkeys(("edit", "edited"), "edit"),
    **dict.fromkeys(("respond", "response"), "respond"),
}

_NAMES: Final = ("approval_id", "tool_call_id", "id")


class Asked(NamedTuple):
    """A call that people were asked about. `edited`: somebody replaced its arguments, and others may still look at a
    screen from before, so who approves it must say what they saw."""

    approval_id: str
    call_id: str
    action: Action
    edited: bool = False


@dataclass(frozen=True, slots=True)
class Decision:
    """What somebody said of one call. `edited`: what is to run instead."""

    type: DecisionType
    message: str = ""
    edited: Action | None = None


@dataclass(frozen=True, slots=True)
class Answers:
    """Decisions by approval id, and what could not be understood, in words without any content."""

    decisions: Mapping[str, Decision] = field(default_factory=dict)
    problems: tuple[str, ...] = ()


def decode(answer: Any, asked: Sequence[Asked], *, strict: bool = False) -> Answers:
    """What `answer` says of the calls that were asked about. `strict`: only of those that it names."""
    try:
        said = list(_said(answer))
        return _matched(said, asked, strict)
    except Unclear as unclear:
        return Answers(problems=(str(unclear),))


class Unclear(Exception):
    """An answer that decides nothing. Says why, and nothing of what it was."""


# What was said


def _said(answer: Any) -> Iterable[Any]:
    """The decisions in an answer, as they are."""
    if isinstance(answer, (bool, str)):
        return [answer]
    if isinstance(answer, Mapping):
        if isinstance(answer.get("decisions"), (list, tuple)):
            return list(answer["decisions"])
        if "type" in answer or "decision" in answer:
            return [answer]
        if answer and all(isinstance(key, str) for key in answer):
            return [_named(key, decision) for key, decision in answer.items()]
        raise Unclear("an answer without decisions")
    if isinstance(answer, (list, tuple)):
        return list(answer)
    raise Unclear(f"an answer of type {type(answer).__name__}")


def _named(key: str, decision: Any) -> Mapping[str, Any]:
    return {**decision, "id": key} if isinstance(decision, Mapping) else {"type": decision, "id": key}


def _name_of(said: Any) -> str | None:
    if not isinstance(said, Mapping):
        return None
    return next((said[name] for name in _NAMES if isinstance(said.get(name), str)), None)


# To which call it belongs


def _matched(said: Sequence[Any], asked: Sequence[Asked], strict: bool) -> Answers:
    found: dict[str, Decision] = {}
    problems: list[str] = []
    pairs = _pairs(said, asked, strict)
    times = Counter(one.approval_id for _, one in pairs)
    for each, one in pairs:
        try:
            if times[one.approval_id] > 1:
                raise Unclear("two decisions on one call")
            found[one.approval_id] = _decision(each, one)
        except Unclear as unclear:
            problems.append(str(unclear))
    return Answers(found, tuple(dict.fromkeys(problems)))


def _pairs(said: Sequence[Any], asked: Sequence[Asked], strict: bool) -> list[tuple[Any, Asked]]:
    named = [(each, _name_of(each)) for each in said]
    if any(name is not None for _, name in named):
        if not all(name is not None for _, name in named):
            raise Unclear("some decisions name a call, and some do not")
        return [(each, _called(name or "", asked)) for each, name in named]
    if strict:
        raise Unclear("decisions must name the approval that they are about")
    if len(said) == len(asked):
        return list(zip(said, asked, strict=True))
    if len(said) == 1 and _type(said[0]) == "reject":
        return [(said[0], one) for one in asked]
    raise Unclear(f"{len(said)} decisions on {len(asked)} calls")


def _called(name: str, asked: Sequence[Asked]) -> Asked:
    found = [one for one in asked if name in (one.approval_id, one.call_id)]
    if len(found) != 1:
        raise Unclear("a decision on a call that was not asked about")
    return found[0]


# What it is


def _decision(said: Any, asked: Asked) -> Decision:
    kind = _type(said)
    fields = said if isinstance(said, Mapping) else {}
    digest = fields.get("digest")
    if isinstance(digest, str) and digest != asked.action.digest:
        raise Unclear("a decision on another action than the one that was asked about")
    if kind == "approve" and asked.edited and not isinstance(digest, str):
        raise Unclear("the action was edited: approve it with its digest, or by an edit to what it is now")
    if kind == "edit":
        return Decision("edit", _message(fields), _edited(fields, asked))
    if kind == "respond" and not _message(fields):
        raise Unclear("a response without a message")
    return Decision(kind, _message(fields))


def _type(said: Any) -> DecisionType:
    word = said.get("type", said.get("decision")) if isinstance(said, Mapping) else said
    if isinstance(word, bool):
        return "approve" if word else "reject"
    if not isinstance(word, str) or (kind := _TYPES.get(word.strip().lower())) is None:
        raise Unclear("a decision of no known type")
    return kind


def _message(fields: Mapping[str, Any]) -> str:
    """What was said with it. Half of a surrogate pair is no character, and no store keeps it: `?` stands for it."""
    told = fields.get("message", fields.get("args"))
    return told[:LONGEST_MESSAGE].encode(errors="replace").decode() if isinstance(told, str) else ""


def _edited(fields: Mapping[str, Any], asked: Asked) -> Action:
    """What is to run instead: LangChain's `edited_action`, or Agent Inbox' `args`."""
    action = fields.get("edited_action", fields.get("args"))
    if not isinstance(action, Mapping):
        raise Unclear("an edit without an action")
    tool, args = action.get("name", action.get("action", asked.action.tool)), action.get("args")
    if tool != asked.action.tool:
        raise Unclear("an edit that makes it a call of another tool")
    if not isinstance(args, Mapping):
        raise Unclear("an edit without arguments")
    try:
        return Action.edited(tool, dict(args))
    except ActionRefused as refused:
        raise Unclear(f"an edit whose {refused.field} {refused.problem}") from refused
