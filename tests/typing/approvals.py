"""What users write of approvals, for type checkers alone: mypy and pyright read it; nothing runs it."""

from __future__ import annotations

from typing import assert_type

from langchain_core.runnables import RunnableConfig

from langgraph_guard import (
    ApprovalRule,
    HumanApprovalNode,
    MemoryBackend,
    SummarizationNode,
    ToolGuard,
    fuse,
    idempotency_key,
)


def who(config: RunnableConfig) -> str:  # noqa: D103 - what users write, not a test
    return "bob"


approval = HumanApprovalNode(
    {
        "read_*": "allow",
        "pay": ApprovalRule(above={"amount": 100}, quorum=2, reviewers=["bob", "carol"], ttl="1h"),
        "send_*": ApprovalRule(when=lambda proposal: proposal.tainted, roles="manager", separation_of_duties=True),
    },
    MemoryBackend(),
    format="per_call",
    reviewer=who,
)
HumanApprovalNode([("send_*", ApprovalRule(allowed_decisions=["approve", "reject"]))], MemoryBackend())
ToolGuard(approvals=approval.policy)
approval.paths(execute="tools", revise="model", expired="finish")
fuse(approval.entry, SummarizationNode(max_tokens=8_000))
assert_type(idempotency_key(), str | None)
