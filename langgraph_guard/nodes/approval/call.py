"""One open call as the approval node sees it: how it stands, and what the tools, the model and its asker are told."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from langchain_core.messages import ToolMessage

from langgraph_guard.errors import ActionRefused
from langgraph_guard.policies.approval.actions import Action
from langgraph_guard.policies.approval.answers import Asked
from langgraph_guard.policies.approval.commands import Approval
from langgraph_guard.tools.results.result import ToolResult

EDITED: Final = (
    "A reviewer replaced the arguments of this call before it ran; the result is of what they wrote. Do not repeat it."
)
UNHEARD: Final = "Another answer on this call did not count: {problem}."

WHY: Final[Mapping[str, str]] = {
    "denied": "may not be called like this",
    "expired": "was not approved in time",
    "rejected": "was rejected by a reviewer",
    "withdrawn": "was withdrawn, because the user went on before it ran",
}


@dataclass(slots=True)
class Call:
    """`approval`: when a rule concerned it. `refusal`: when it cannot even be asked about. `unheard`: why the newest
    answer on it did not count."""

    id: str
    tool: str
    action: Action | None = None
    approval: Approval | None = None
    refusal: str = ""
    unheard: str = ""

    @classmethod
    def of(cls, call: Mapping[str, Any]) -> Call:
        found = cls(call.get("id") or "", call["name"])
        try:
            found.action = Action(call["name"], call["args"])
        except ActionRefused as refused:
            found.refusal = f"The arguments of {call['name']} cannot be approved: {refused.field} {refused.problem}."
        return found

    @property
    def waits(self) -> bool:
        """Whether people have yet to decide."""
        return self.approval is not None and self.approval.is_open

    @property
    def runs(self) -> bool:
        return not self.refusal and (self.approval is None or self.approval.may_run)

    @property
    def asked(self) -> Asked:
        """The call as it stands: after an edit, what it was edited to."""
        assert self.approval is not None
        action = Action(self.tool, json.loads(self.approval.args))
        return Asked(self.approval.id, self.id, action, self.waits and self.approval.edited)

    def verdict(self) -> dict[str, Any] | None:
        """What `ToolGuard` is told of it; `None` when there is nothing to tell."""
        if self.waits:
            return {"verdict": "hold"}
        if self.runs:
            said = self._note()
            return {"verdict": "note", "message": said} if said else None
        if self._was_answered:
            assert self.approval is not None
            return {"verdict": "answer", "message": self.approval.message}
        return {"verdict": "refuse", "error_type": self._kind, "message": self._refused(), "retry_at": None}

    def answer(self) -> ToolMessage:
        """What the model reads in the tool's place."""
        if self._was_answered:
            assert self.approval is not None
            return ToolMessage(self.approval.message, tool_call_id=self.id, name=self.tool, status="success")
        return ToolResult.error(self._kind, self._refused()).to_message(self.id, self.tool)

    @property
    def _was_answered(self) -> bool:
        return self.approval is not None and self.approval.state == "responded"

    @property
    def _kind(self) -> Any:
        return "validation" if self.approval is None else "denied"

    def _note(self) -> str:
        edited = self.approval is not None and self.approval.edited
        return " ".join([*([EDITED] if edited else []), *self._unheard()])

    def _refused(self) -> str:
        if self.refusal:
            return self.refusal
        assert self.approval is not None
        said = f": {self.approval.message}" if self.approval.message else ""
        told = f"{self.tool} {WHY[self.approval.state]}{said}. It did not run."
        return " ".join([told, "Do not repeat the same call unless the user asks for it.", *self._unheard()])

    def _unheard(self) -> list[str]:
        return [UNHEARD.format(problem=self.unheard)] if self.unheard else []
