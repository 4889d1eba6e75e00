"""FOR YOUR TESTS AND OURS: a clock that you move, a chat model with a script, a network that fails on demand.

    clock = FakeClock()
    model = ScriptedChatModel([calls("search", {"q": "kites"}), says("Found three.")], clock=clock)

Nothing here waits, downloads or costs anything.
"""

from langgraph_guard.testing.clock import FakeClock
from langgraph_guard.testing.faults import FaultProxy
from langgraph_guard.testing.models import ScriptedChatModel
from langgraph_guard.testing.replies import Reply, calls, fails, says
from langgraph_guard.testing.script import Call, ScriptExhausted

__all__ = [
    "Call",
    "FakeClock",
    "FaultProxy",
    "Reply",
    "ScriptExhausted",
    "ScriptedChatModel",
    "calls",
    "fails",
    "says",
]
