"""What the approval node and the guard around the tools share: rules, and where requests and executions are kept."""

from langgraph_guard.tools.approvals.approvals import Approvals, Place

__all__ = ["Approvals", "Place"]
