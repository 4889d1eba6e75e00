"""When an agent goes in circles, and what is done about it.

digests     what makes two calls, or two results, the same
calls       the calls of a turn, as records of digests
detectors   what goes in circles: identical and similar calls, cycles, calls that lead nowhere
ladder      nudge, block the tool, halt: one rung for each message that goes on
wording     what the model and the user are told
"""

from langgraph_guard.policies.loops.calls import KEPT_CALLS, MOST, Call, Limits
from langgraph_guard.policies.loops.detectors import Finding, Kind, find
from langgraph_guard.policies.loops.ladder import RUNGS, Rung, Step, climb, steps

__all__ = ["KEPT_CALLS", "MOST", "RUNGS", "Call", "Finding", "Kind", "Limits", "Rung", "Step", "climb", "find", "steps"]
