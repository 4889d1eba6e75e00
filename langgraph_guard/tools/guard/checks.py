"""What is looked at before a tool runs. Each check is a function of the call: why it is refused, or `None`."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from difflib import get_close_matches
from typing import Any, Final

from langchain_core.messages import ToolMessage
from langchain_core.runnables import RunnableConfig
from pydantic import BaseModel, ValidationError

from langgraph_guard.tools.guard.answer import Answer
from langgraph_guard.tools.guard.call import GuardedCall
from langgraph_guard.tools.results.advice import ERROR_TYPES, WAITS, ErrorType
from langgraph_guard.tools.results.result import ToolResult

Check = Callable[[GuardedCall], ToolResult | None]

NAMES: Final = 20
"""Tools that a repair message lists."""

MAX_REPAIRS: Final = 2
"""Attempts that a turn has to get the arguments of a tool without a contract right, after the first."""

UNKNOWN: Final = ""
"""Where the attempts at tools that do not exist are counted: their names are the model's, and endless."""


def refused(call: GuardedCall) -> ToolResult | None:
    """A guard before the tools said no."""
    for verdict in said_of(call, "refuse"):
        later = (verdict.get("retry_at") or 0) / 1_000 - call.now_ms / 1_000
        kind: ErrorType = verdict["error_type"] if verdict.get("error_type") in ERROR_TYPES else "denied"
        waits = later if later > 0 and kind in WAITS else None
        return ToolResult.error(kind, verdict.get("message", ""), retry_after=waits)
    return None


def held(call: GuardedCall) -> ToolResult | None:
    """It waits for a person. `guard.node` leaves it out; another tools node has brought it all the same."""
    if not said_of(call, "hold"):
        return None
    return ToolResult.error("denied", f"{call.name} waits for a person's decision, and did not run.")


def answered(call: GuardedCall) -> Answer | None:
    """A person answered in the tool's place."""
    for verdict in said_of(call, "answer"):
        message = ToolMessage(verdict.get("message", ""), tool_call_id=call.id, name=call.name, status="success")
        return Answer(message)
    return None


def said_of(call: GuardedCall, verdict: str) -> list[Any]:
    """The verdicts of that kind on this call, each guard's own."""
    of_call = (call.known.get("guard_calls") or {}).get(call.id) or {}
    return [each for each in of_call.values() if each.get("verdict") == verdict]


def addressed(call: GuardedCall) -> ToolResult | None:
    """A call needs an id of its own, or its answer finds nobody."""
    if not call.id:
        return ToolResult.error("validation", "The call has no id, so no answer can be given to it.")
    if not call.asked.is_first(call.request.tool_call):
        return ToolResult.error("validation", "Another call in the same message has this id; only the first one ran.")
    return None


def existing(call: GuardedCall) -> ToolResult | None:
    """There must be such a tool."""
    if call.tool is not None:
        return None
    names = [tool.name for tool in call.request.runtime.tools]
    near = get_close_matches(call.name, names, 3)
    listed = ", ".join([*near, *(name for name in names if name not in near)][:NAMES])
    more = f" and {len(names) - NAMES} more" if len(names) > NAMES else ""
    problem = f"There is no tool {_clipped(call.name)!r}. The tools are: {listed}{more}."
    return _repair(call, UNKNOWN, problem)


def fitting(call: GuardedCall) -> ToolResult | None:
    """The arguments must be what the tool takes."""
    if not isinstance(call.schema, type) or not issubclass(call.schema, BaseModel):
        return None  # A JSON schema is the tool's own business; what it refuses, it says.
    try:
        call.schema.model_validate(call.args)
    except ValidationError as error:
        return wrong_arguments(call, error.errors(include_url=False, include_input=False, include_context=False))
    return None


def wrong_arguments(call: GuardedCall, errors: Sequence[Any]) -> ToolResult:
    schema = getattr(call.tool, "args", None) or {}
    takes = f" It takes: {', '.join(schema)}." if schema else ""
    return _repair(call, call.name, f"The arguments of {call.name} are wrong: {told(errors)}.{takes}")


def told(errors: Sequence[Any]) -> str:
    """Pydantic's errors in a line: where and what, and never the value."""
    problems = (f"{'.'.join(map(str, error['loc'])) or 'as a whole'}: {error['msg']}" for error in errors[:10])
    return _clipped("; ".join(problems), 800)


def _repair(call: GuardedCall, tool: str, problem: str) -> ToolResult:
    """`problem` as a request to try again, until the turn has used up its attempts."""
    turn, seq = call.turn
    most = call.contract.max_repairs if call.contract else MAX_REPAIRS
    use = (call.known.get("guard_tools") or {}).get(tool) or {}
    tried = set(use.get("repairs") or ()) if use.get("turn") == turn else set()
    tried.add(call.id)
    call.news["guard_tools"] = {tool: {"calls": [], "repairs": sorted(tried), "turn": turn, "turn_seq": seq}}
    if len(tried) <= most:
        return ToolResult.error("validation", problem)
    return ToolResult.error("permanent", f"{problem} That was attempt {len(tried)}: do not try again.")


def permitted(scopes_of: Callable[[GuardedCall], Iterable[str]]) -> Check:
    """The caller must have the scopes that the contract asks for."""

    def check(call: GuardedCall) -> ToolResult | None:
        wanted = call.contract.auth_scope if call.contract else ()
        if not wanted:
            return None
        missing = [scope for scope in wanted if scope not in set(scopes_of(call))]
        if not missing:
            return None
        return ToolResult.error("denied", f"{call.name} needs the scope {', '.join(missing)}, which the caller lacks.")

    return check


def scopes_of(call: GuardedCall) -> Collection[str]:
    """The scopes that a run carries by itself: the server's user's, the runtime context's, `configurable`'s."""
    runtime = call.request.runtime
    user = getattr(runtime.server_info, "user", None)
    places: tuple[Any, ...] = (getattr(user, "permissions", None), _scopes(runtime.context), _in(call.config))
    found = next((each for each in places if each is not None), ())
    return found.split() if isinstance(found, str) else list(found)


def _in(config: RunnableConfig) -> Any:
    return _scopes(config.get("configurable") or {})


def _scopes(place: Any) -> Any:
    return place.get("scopes") if hasattr(place, "get") else getattr(place, "scopes", None)


def approved(call: GuardedCall) -> ToolResult | None:
    """Where the contract asks for an approval, there must be one."""
    if call.contract is None or not call.contract.approval:
        return None
    return ToolResult.error("denied", f"{call.name} needs a person's approval, and there is none.")


def within_quota(call: GuardedCall) -> ToolResult | None:
    """A session may call a tool so often. Calls of one message are counted in their order."""
    most = call.contract.max_calls_per_session if call.contract else None
    if most is None:
        return None
    before = set(call.used().get("calls") or ())
    if call.id not in before and len(before) + call.asked.rank.get(call.id, 0) >= most:
        return ToolResult.error("denied", f"{call.name} may be called {most} times per session, and it was.")
    return None


def count(call: GuardedCall) -> None:
    """Tell the state that the tool was used, where a contract counts."""
    if call.contract is not None and call.contract.max_calls_per_session is not None:
        turn, seq = call.turn
        call.news["guard_tools"] = {call.name: {"calls": [call.id], "repairs": [], "turn": turn, "turn_seq": seq}}


def _clipped(text: str, most: int = 80) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"
