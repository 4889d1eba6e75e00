"""The promises of an approval desk and its outbox, one file per kind; a backend's tests inherit them all at once."""

from __future__ import annotations

from langgraph_guard.testing.contracts.approvals.concurrency import Concurrency
from langgraph_guard.testing.contracts.approvals.deciding import Deciding
from langgraph_guard.testing.contracts.approvals.doubting import Doubts, Leases, Lists
from langgraph_guard.testing.contracts.approvals.executing import Covered, Executing
from langgraph_guard.testing.contracts.approvals.expiring import Expiring
from langgraph_guard.testing.contracts.approvals.faults import Faults
from langgraph_guard.testing.contracts.approvals.forgetting import Forgetting
from langgraph_guard.testing.contracts.approvals.histories import Histories
from langgraph_guard.testing.contracts.approvals.names import Contents, Names
from langgraph_guard.testing.contracts.approvals.pages import Trails, Waiting
from langgraph_guard.testing.contracts.approvals.refusing import Refusing
from langgraph_guard.testing.contracts.approvals.reviewing import Edits, Reviewers, Sources
from langgraph_guard.testing.contracts.approvals.withdrawing import Withdrawing


class Desk(Deciding, Reviewers, Edits, Sources, Expiring, Withdrawing, Waiting):
    """What people are asked, and what they say."""


class Effects(Executing, Leases, Doubts, Lists, Covered):
    """What is done at most once."""


class ApprovalContract(Desk, Effects, Trails, Names, Contents, Forgetting, Refusing, Faults, Concurrency, Histories):
    """Override `make_backend`."""


__all__ = ["ApprovalContract"]
