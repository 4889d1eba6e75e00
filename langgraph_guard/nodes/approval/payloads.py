"""What user interfaces are shown: LangChain's `HITLRequest` and `ToolApprovalRequest`, and Agent Inbox' list."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal, get_args

from langgraph_guard.policies.approval.commands import Approval

Format = Literal["hitl", "per_call", "inbox"]
FORMATS: Final = get_args(Format)

LONGEST: Final = 2_000
"""Characters of arguments in a description. All of them stand beside it."""


def batched(asked: Sequence[Approval], args: Mapping[str, Mapping[str, Any]], problems: Sequence[str]) -> Any:
    """One `HITLRequest` for all calls. The fields beyond its own are ignored by those who do not know them."""
    return {
        "action_requests": [_action(each, args[each.id]) for each in asked],
        "review_configs": [_config(each) for each in asked],
        **({"problems": list(problems)} if problems else {}),
    }


def single(asked: Approval, args: Mapping[str, Any], problems: Sequence[str]) -> Any:
    """One call by itself: LangChain's per-call mode."""
    return {
        "type": "tool_approval",
        "tool_call_id": asked.call_id,
        **_action(asked, args),
        "allowed_decisions": list(asked.needed.allowed_decisions),
        **({"problems": list(problems)} if problems else {}),
    }


def inbox(asked: Sequence[Approval], args: Mapping[str, Mapping[str, Any]], problems: Sequence[str]) -> Any:
    """Agent Inbox' `HumanInterrupt`s."""
    return [_interrupt(each, args[each.id], problems) for each in asked]


def _action(asked: Approval, args: Mapping[str, Any]) -> dict[str, Any]:
    expires = None if asked.expires_at is None else int(asked.expires_at * 1_000)
    return {
        "name": asked.tool,
        "args": dict(args),
        "arguments": dict(args),  # what Agent Inbox reads
        "description": _description(asked),
        "approval_id": asked.id,
        "tool_call_id": asked.call_id,
        "digest": asked.digest,
        "state": asked.state,
        "quorum": asked.needed.quorum,
        "approvals": len(asked.votes),
        "expires_at": expires,
    }


def _config(asked: Approval) -> dict[str, Any]:
    return {"action_name": asked.tool, "allowed_decisions": list(asked.needed.allowed_decisions)}


def _interrupt(asked: Approval, args: Mapping[str, Any], problems: Sequence[str]) -> dict[str, Any]:
    allowed = asked.needed.allowed_decisions
    return {
        "action_request": {"action": asked.tool, "args": dict(args)},
        "config": {
            "allow_accept": "approve" in allowed,
            "allow_edit": "edit" in allowed,
            "allow_respond": "respond" in allowed,
            "allow_ignore": "reject" in allowed,
        },
        "description": "\n".join([_description(asked), *problems]),
        "approval_id": asked.id,
        "tool_call_id": asked.call_id,
        "digest": asked.digest,
    }


def _description(asked: Approval) -> str:
    """What is asked, in a line or two."""
    why = asked.needed.description or asked.reason
    people = f" It needs {asked.needed.quorum} people." if asked.needed.quorum > 1 else ""
    return f"`{asked.tool}({shown(asked.args)})`{f': {why}.' if why else ''}{people}"


def shown(args: str) -> str:
    """Arguments for a screen. Their exact text is ASCII with escapes, so that no mark in it turns or hides what stands
    there; and it ends no quotation."""
    text = args.replace("`", "\\u0060")
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}… ({len(text)} characters)"
