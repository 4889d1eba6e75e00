"""The loop check: an agent that goes in circles is told so, then loses the tool, then ends.

node     `LoopCheckNode`
seen     the calls of the turn, from the messages and from what the state remembers
visit    what is done about what was found, as an update of the state
"""

from langgraph_guard.nodes.loops.node import LoopCheckNode

__all__ = ["LoopCheckNode"]
