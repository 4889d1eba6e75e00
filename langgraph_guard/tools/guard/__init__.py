"""Around each call of a `ToolNode`: checked, charged, bounded, answered once.

guard       `ToolGuard`: the flow of a call, from the checks to the answer
node        `guard.node(TOOLS)`: the node
call        one call, and the message that asked for it
checks      why a call is refused
once        side effects that were made, in this process
executions  side effects that happen at most once, whatever crashes; `kept` is what they came to, as text
agreed      what people had a say in
cached      results that are kept
attempts    breaker, budget, timeout, and again where that is safe
running     how the flow's commands are carried out; `threads` for tools that may hang
answer      what the call came to
shaping     what the model reads of it
logs        what the log says of it
protocols   what the guard needs of a budget
"""

from langgraph_guard.tools.guard.guard import ToolGuard

__all__ = ["ToolGuard"]
