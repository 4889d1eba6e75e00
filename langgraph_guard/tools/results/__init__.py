"""What came of a tool call: for the model what to do next, for the program all of it.

result      `ToolResult`
advice      the kinds of failure, and a sentence for each
failures    what an exception says
statuses    what an HTTP answer says
shown       text of an exception, fit to be shown
plain       any value as builtins, and as JSON
"""

from langgraph_guard.tools.results.result import ToolResult

__all__ = ["ToolResult"]
