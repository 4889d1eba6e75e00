"""`ToolGuard`: every tool call checked, charged, bounded, answered once, and told to the model so that it can act."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Generator, Iterable, Sequence
from difflib import get_close_matches
from hashlib import blake2b
from typing import Any, Final, TypedDict

from langchain_core.messages import ToolMessage
from langchain_core.tools import BaseTool
from langgraph.cache.base import BaseCache
from langgraph.errors import GraphBubbleUp
from langgraph.prebuilt.tool_node import AsyncToolCallWrapper, ToolCallRequest, ToolCallWrapper

from langgraph_guard.backends.protocols import ApprovalBackend, Clock, SystemClock
from langgraph_guard.errors import ConfigError
from langgraph_guard.events import emit
from langgraph_guard.flow import arun, run
from langgraph_guard.state.views import keeps
from langgraph_guard.tools.approvals import Approvals
from langgraph_guard.tools.breaker import CircuitBreaker
from langgraph_guard.tools.content.artifacts import READ_ARTIFACT
from langgraph_guard.tools.content.reader import artifact_reader
from langgraph_guard.tools.contracts.loading import Contracts, Source, name_of
from langgraph_guard.tools.contracts.wording import meant, named
from langgraph_guard.tools.guard import checks
from langgraph_guard.tools.guard.agreed import Agreed
from langgraph_guard.tools.guard.answer import Answer, answer, replace_message, with_news
from langgraph_guard.tools.guard.attempts import MAX_PAUSE, Attempts
from langgraph_guard.tools.guard.cached import Get, Put, Results
from langgraph_guard.tools.guard.call import Batches, GuardedCall, Tools, known_of
from langgraph_guard.tools.guard.executions import Executions
from langgraph_guard.tools.guard.logs import log
from langgraph_guard.tools.guard.node import GuardedTools
from langgraph_guard.tools.guard.once import Effects
from langgraph_guard.tools.guard.protocols import ChargesTools
from langgraph_guard.tools.guard.replayed import replayed
from langgraph_guard.tools.guard.running import Ask, Runner, ToolFlow
from langgraph_guard.tools.guard.shaping import Shaper
from langgraph_guard.tools.results.result import ToolResult

ARTIFACT_CHARS: Final = 20_000
"""Characters from which a result is offloaded: about 5,000 tokens."""

LEAST_CHARS: Final = 500

NAMESPACE: Final = ("langgraph_guard", "tools")

UNDER_WAY: Final = "{name} was called before with this id, and has not ended: its outcome is not known."


AnyTool = BaseTool | Callable[..., Any]


class Hooks(TypedDict):
    """What `ToolNode(TOOLS, **guard.hooks())` takes."""

    wrap_tool_call: ToolCallWrapper
    awrap_tool_call: AsyncToolCallWrapper


class ToolGuard:
    """What happens around a tool call, so that it can fail safely. `guard.node(TOOLS)` is the node for your graph.

    Each call gets exactly one answer, in the order of the calls: the tool's, or a `ToolResult` that says what is wrong
    and what to do next. In this order: what guards before it said of the call (`guard_calls`); that the tool exists and
    the arguments fit (a repair message, a bounded number of times a turn); the contract's scope, approval and calls per
    session; a kept result; the breaker and the budget, for each attempt; the contract's timeout; retries where the
    contract says that they are safe. Then the result: validated, its fields chosen and ordered, cleaned and fenced when
    the tool is not trusted, offloaded when it is long. Interrupts pass.

    `contracts`: a YAML file, a mapping, or `Contracts`; tools may carry theirs (`@contract`). `budget`: counts and pays
    for calls, and meters models that tools ask. `breaker`: its circuits are asked and told. `artifacts`: characters
    from which a result is offloaded (`None`: never). `scopes`: from a call to the caller's scopes; by default the
    `permissions` of the server's user, then `scopes` of the runtime context, then of `configurable`. `cache`: where
    results with a `cache_ttl` are kept, per thread. `timeout`: seconds for tools without a contract. `max_pause`: the
    longest wait before a retry; who is told to wait longer answers instead. A tool that runs into its timeout in a
    thread goes on there: it is given up, not ended.

    `outbox`: a backend, `RedisBackend(…)`. Calls with side effects in a thread are then made at most once, whatever
    crashes; of one that nobody knows the end of, the answer says so, and it is not made again before somebody resolved
    it or the contract's `reconcile` did. Without it that holds in this process alone, for steps that run again.
    `approvals`: `HumanApprovalNode(…).policy`, which brings its backend's outbox. A call that needs people's approval
    runs as it was approved and not otherwise. Without it, a call whose contract asks for approval is denied.
    """

    def __init__(
        self,
        contracts: Source = None,
        *,
        budget: ChargesTools | None = None,
        breaker: CircuitBreaker | None = None,
        approvals: Approvals | None = None,
        outbox: ApprovalBackend | None = None,
        artifacts: int | None = ARTIFACT_CHARS,
        scopes: Callable[[GuardedCall], Iterable[str]] | None = None,
        cache: BaseCache[Any] | None = None,
        timeout: float | None = None,
        max_pause: float = MAX_PAUSE,
        messages_key: str = "messages",
        clock: Clock | None = None,
    ) -> None:
        _check(budget, breaker, artifacts, timeout, max_pause, messages_key)
        _check_approvals(approvals, outbox)
        self.contracts = Contracts.load(contracts)
        self.messages_key = messages_key
        charges = budget.tool_charges if budget is not None else None
        self._clock = clock or (charges.clock if charges else SystemClock())
        self._attempts = Attempts(charges, breaker, self._clock, timeout, max_pause)
        self._runner = Runner(self._clock)
        self._results = Results(cache)
        self._effects = Effects()
        self._batches = Batches()
        self._tools = Tools(self.contracts)
        self._shaper = Shaper(artifacts, messages_key)
        self._executions = _executions(approvals, outbox)
        self._approvals = approvals
        if approvals is not None:
            approvals.learn(self.contracts.get)
        self._checks = (
            checks.refused,
            checks.held,
            checks.addressed,
            checks.existing,
            checks.fitting,
            checks.permitted(scopes or checks.scopes_of),
            *([checks.approved] if approvals is None else []),
            checks.within_quota,
        )

    def node(self, tools: Sequence[AnyTool], *, name: str = "tools") -> GuardedTools:
        """LangGraph's `ToolNode` with this guard around it. It runs `read_artifact`, too: see `tools`.

        Raises `ConfigError` for a contract that names none of the tools, and for an approval rule that does not, where
        one of them is spelled much like it.
        """
        hooks = Hooks(wrap_tool_call=self._wrap, awrap_tool_call=self._awrap)
        node = GuardedTools(self.tools(tools), hooks, name=name, messages_key=self.messages_key)
        self.contracts.check(node.tools_by_name.values())
        if self._approvals is not None:
            self._approvals.learn(lambda name: self.contracts.of(name, node.tools_by_name.get(name)))
            _check_rules(self._approvals, node.tools_by_name)
        return node

    def tools(self, tools: Sequence[AnyTool]) -> list[AnyTool | BaseTool]:
        """What to offer the model, `llm.bind_tools(guard.tools(TOOLS))`: these, and what reads long results."""
        reads = self._shaper.limit is None or any(name_of(tool) == READ_ARTIFACT for tool in tools)
        return [*tools, *([] if reads else [artifact_reader()])]

    def hooks(self) -> Hooks:
        """For a `ToolNode` or middleware of your own: `ToolNode(TOOLS, **guard.hooks())`.

        They raise `ConfigError` when the state has no guard keys: inherit `GuardState`, or use `.node`. Give the node
        `handle_tool_errors=False`, or it words the tools' failures before the guard sees them.
        """
        return Hooks(wrap_tool_call=self._checked, awrap_tool_call=self._achecked)

    # The hooks

    def _wrap(self, request: ToolCallRequest, execute: Callable[[ToolCallRequest], Any]) -> Any:
        return run(self._answer(request), self._runner.sync(execute))

    async def _awrap(self, request: ToolCallRequest, execute: Callable[[ToolCallRequest], Any]) -> Any:
        return await arun(self._answer(request), self._runner.on_loop(execute))

    def _checked(self, request: ToolCallRequest, execute: Callable[[ToolCallRequest], Any]) -> Any:
        _check_keys(request)
        return self._wrap(request, execute)

    async def _achecked(self, request: ToolCallRequest, execute: Callable[[ToolCallRequest], Any]) -> Any:
        _check_keys(request)
        return await self._awrap(request, execute)

    # The flow of a call

    def _answer(self, request: ToolCallRequest) -> Generator[Sequence[Any], list[Any], Any]:
        """What the call is answered with: a message, or a `Command` when there is news for the guard's keys."""
        call = self._call(request)
        found = yield from self._found(call)
        output = self._shaper.shape(call, found)
        emit(
            "tool.answered",
            tool=call.name if call.tool is not None else "",
            status="error" if found.failed else "success",
            error_type=found.result.error_type if found.result else None,
            attempts=found.attempts,
            seconds=found.seconds,
        )
        log(call, found)
        return with_news(output, call.news, self.messages_key)

    def _call(self, request: ToolCallRequest) -> GuardedCall:
        asked = self._batches.of(request.state, self.messages_key)
        known = self._tools.of(request.tool_call["name"], request.tool)
        now_ms = int(self._clock.now() * 1_000)
        return GuardedCall(request, known.contract, known.schema, known_of(request), asked, now_ms)

    def _found(self, call: GuardedCall) -> ToolFlow:
        for check in self._checks:
            if (refusal := check(call)) is not None:
                return answer(call, refusal)
        if (said := checks.answered(call)) is not None:
            return said
        if (recorded := replayed(call)) is not None:
            return recorded
        if self._executions is None or not (call.thread or self._approvals):
            return (yield from self._made_once(call))
        return (yield from self._executions.make(call, self._made if call.thread else self._made_once))

    def _made_once(self, call: GuardedCall) -> ToolFlow:
        if call.has_effects and call.step:
            return (yield from self._once(call))
        return (yield from self._made(call))

    def _made(self, call: GuardedCall) -> ToolFlow:
        if call.contract is not None and call.contract.may_cache and call.thread:
            return (yield from self._kept(call))
        return (yield from self._attempts.make(call))

    def _once(self, call: GuardedCall) -> ToolFlow:
        """A call with side effects, which a step that runs again does not make again."""
        key = effect_key(call)
        if not self._effects.claim(key):
            known = self._effects.outcome(key)
            return known or answer(
                call, ToolResult.error("timeout", UNDER_WAY.format(name=call.name), retry_safe=False)
            )
        try:
            found = yield from self._attempts.make(call)
        except GraphBubbleUp:
            self._effects.undone(key)
            raise  # What else is raised leaves it claimed: a call that was cancelled may have happened.
        if call.made:
            self._effects.done(key, found)
        else:
            self._effects.undone(key)
        return found

    def _kept(self, call: GuardedCall) -> ToolFlow:
        """A call whose result may be one that was kept."""
        key = ((*NAMESPACE, call.thread), digest(call))
        ((kept,),) = yield [Ask(self._results, [Get(key)])]
        if kept is not None:
            return Answer(replace_message(kept, tool_call_id=call.id))
        found = yield from self._attempts.make(call)
        if isinstance(found.output, ToolMessage) and not found.failed:
            assert call.contract is not None
            yield [Ask(self._results, [Put(key, found.output, max(1, int(call.contract.cache_ttl or 0)))])]
        return found


def digest(call: GuardedCall) -> str:
    """What the call is, whoever asks for it: tool and arguments."""
    said = json.dumps([call.name, call.args], sort_keys=True, default=repr)
    return blake2b(said.encode(errors="surrogatepass"), digest_size=16).hexdigest()


def effect_key(call: GuardedCall) -> tuple[str, ...]:
    """What the call is, in answer to this message."""
    asked = call.asked.message.id if call.asked.message else ""
    return (*call.step, asked or "", call.id, digest(call))


def _executions(approvals: Approvals | None, outbox: ApprovalBackend | None) -> Agreed | Executions | None:
    """What runs the calls of threads; `None` where nothing outside of this process knows of them."""
    if approvals is not None:
        return Agreed(approvals)
    return None if outbox is None else Executions(outbox.tenant, lambda: outbox.outbox)


def _check_rules(approvals: Approvals, tools: Iterable[str]) -> None:
    """A rule with a slip of the pen would let a call through without a word. One for tools of another node is fine."""
    for pattern in approvals.policy.unmatched(tools):
        if hint := meant(pattern, tools) or _meant_stem(pattern.partition("*")[0], tools):
            raise ConfigError(f"rules[{named(pattern)}]", f"is for no tool of this node{hint}")


def _meant_stem(stem: str, tools: Iterable[str]) -> str:
    """The same for what stands before a `*`; short as it is, it has to be nearer."""
    near = get_close_matches(stem, {name[: len(stem)] for name in tools}, 1, 0.8)
    return f"; did you mean {near[0] + '*'!r}?" if near else ""


def _check_approvals(approvals: object, outbox: object) -> None:
    if approvals is not None and not isinstance(approvals, Approvals):
        raise ConfigError("approvals", f"must be a HumanApprovalNode's .policy, is a {type(approvals).__name__}")
    if outbox is not None and not isinstance(outbox, ApprovalBackend):
        raise ConfigError("outbox", f"must be a backend with an outbox, is a {type(outbox).__name__}")
    if approvals is not None and outbox is not None:
        raise ConfigError("outbox", "is the approvals' own: give one of the two")


def _check_keys(request: ToolCallRequest) -> None:
    if not keeps(request.runtime.config, "guard_calls"):
        raise ConfigError("state", "has no guard keys: inherit GuardState, or add ToolGuard.node(tools)")


def _check(
    budget: object, breaker: object, artifacts: object, timeout: object, max_pause: object, messages_key: object
) -> None:
    if budget is not None and not isinstance(budget, ChargesTools):
        raise ConfigError("budget", f"must be a BudgetCheckNode, is a {type(budget).__name__}")
    if breaker is not None and not isinstance(breaker, CircuitBreaker):
        raise ConfigError("breaker", f"must be a CircuitBreaker, is a {type(breaker).__name__}")
    if artifacts is not None and (type(artifacts) is not int or artifacts < LEAST_CHARS):
        raise ConfigError("artifacts", f"must be a number of characters from {LEAST_CHARS} up, or None")
    for name, value, least in (("timeout", timeout, 0.001), ("max_pause", max_pause, 0.0)):
        if value is not None and (type(value) not in (int, float) or not least <= value < math.inf):  # type: ignore[operator]
            raise ConfigError(name, f"must be a number of seconds from {least} up")
    if not isinstance(messages_key, str) or not messages_key:
        raise ConfigError("messages_key", "must be a non-empty str")
