"""People in the loop: what is to be done is asked, decided once, and bound to exactly what runs."""

from langgraph_guard.nodes.approval.node import HumanApprovalNode

__all__ = ["HumanApprovalNode"]
