"""`Approvals`: the same rules, ids and records, whoever looks at a call."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from fnmatch import fnmatchcase
from typing import Any, Final, NamedTuple

from langgraph_guard.backends.protocols import ApprovalBackend, ApprovalDesk, Clock, Outbox
from langgraph_guard.errors import ConfigError
from langgraph_guard.policies.approval.actions import Action, approval_id
from langgraph_guard.policies.approval.commands import Request
from langgraph_guard.policies.approval.rules import ApprovalPolicy, Proposal, Ruling
from langgraph_guard.tools.contracts import ToolContract

_TASK: Final = re.compile(r":[^|]*")


class Place(NamedTuple):
    """Where a call was asked for: its thread, and the namespace of its graph."""

    thread: str
    ns: str

    @classmethod
    def of(cls, thread: str, checkpoint_ns: str) -> Place:
        """`checkpoint_ns` is the task's. Names of graphs stay; ids of tasks change when a run is resumed twice."""
        return cls(thread, _TASK.sub("", checkpoint_ns.rpartition("|")[0]))


class Approvals:
    """The rules, frozen, with the desk and the outbox of a backend. `HumanApprovalNode(…).policy` is one; give it to
    `ToolGuard(approvals=…)`. The guard tells it the tools' contracts, which the node has no other way to know."""

    def __init__(self, policy: ApprovalPolicy, backend: ApprovalBackend) -> None:
        if not isinstance(policy, ApprovalPolicy):
            raise ConfigError("policy", f"must be an ApprovalPolicy, is a {type(policy).__name__}")
        if not isinstance(backend, ApprovalBackend):
            raise ConfigError("backend", f"must be a backend with an approval desk, is a {type(backend).__name__}")
        self.policy = policy
        self.tenant = backend.tenant
        self._backend = backend
        self._contract_of: Callable[[str], ToolContract | None] = lambda name: None

    @property
    def desk(self) -> ApprovalDesk:
        return self._backend.desk

    @property
    def outbox(self) -> Outbox:
        return self._backend.outbox

    @property
    def clock(self) -> Clock:
        return self._backend.clock

    def learn(self, contract_of: Callable[[str], ToolContract | None]) -> None:
        """How to find the contract of a tool."""
        self._contract_of = contract_of

    def id_of(self, action: Action, place: Place, call_id: str) -> str:
        return approval_id(self.tenant, place.thread, place.ns, call_id, action.digest)

    def rule(self, action: Action, **known: Any) -> Ruling:
        """What the rules say of an action. `known` are fields of `Proposal`."""
        contract = self._contract_of(action.tool)
        told: Mapping[str, Any] = (
            {"side_effects": contract.side_effects, "needs_approval": contract.approval} if contract else {}
        )
        return self.policy.rule(Proposal(action.tool, action.args, **{**told, **known}))

    def asks_budget(self, tool: str) -> bool:
        """Whether a rule for the tool depends on what is left of a budget."""
        return any(rule.budget_below is not None and fnmatchcase(tool, name) for name, rule in self.policy.rules)

    def request(self, action: Action, place: Place, call_id: str, ruling: Ruling, requested_by: str) -> Request:
        """What the desk is told of a call."""
        return Request(
            id=self.id_of(action, place, call_id),
            tenant=self.tenant,
            thread=place.thread,
            ns=place.ns,
            call_id=call_id,
            tool=action.tool,
            args=action.text,
            digest=action.digest,
            effect=ruling.effect,
            reason=ruling.reason,
            requirement=ruling.requirement,
            requested_by=requested_by,
        )
