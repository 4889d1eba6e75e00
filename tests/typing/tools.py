"""What users write of results and contracts, for type checkers alone: mypy and pyright read it; nothing runs it."""

# ruff: noqa: D103 - functions here are what users write, not tests

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, assert_type

from langchain_core.messages import ToolMessage
from langchain_core.tools import BaseTool, tool
from pydantic import BaseModel, TypeAdapter

from langgraph_guard.tools.contracts.contract import ToolContract
from langgraph_guard.tools.contracts.loading import Contracts, contract, contract_of
from langgraph_guard.tools.contracts.retries import Retries
from langgraph_guard.tools.results.result import ToolResult


def find_out(call: object) -> str:
    return "done"


class Order(BaseModel):
    """What a tool returns."""

    id: int


def get_order_status(order_id: str) -> ToolResult:
    try:
        if not order_id:
            return ToolResult(status="error", error_type="permanent", retry_safe=False, message="No such order.")
        return ToolResult.success({"state": "shipped"})
    except TimeoutError as error:
        return ToolResult.from_exception(error, now=0.0, may_retry=False)


def reads(result: ToolResult) -> None:
    assert_type(result.status, Literal["success", "error"])
    assert_type(result.retry_after, float | None)
    assert_type(result.render(2_000), str)
    assert_type(result.to_message("call-1", "search", max_chars=None), ToolMessage)
    assert_type(ToolResult.parse(result.artifact()), ToolResult | None)
    assert_type(result.narrowed(False), ToolResult)


ToolResult.error("rate_limit", "Too many.", retry_after=60)
ToolResult.error("circuit_open", "Off.", retry_safe=True, retry_after=1.5, data=[1])

ToolContract(
    name="get_order_status",
    timeout=5,
    retry_policy="exponential_backoff",
    idempotent=True,
    side_effects="none",
    auth_scope="orders:read",
    keep=["id"],
    sort_key="id",
    returns=Order,
    cache_ttl=60,
    approval="required",
)
exact = ToolContract(name="pay", timeout_seconds=5, retry_policy=Retries(attempts=2), reconcile=find_out)
ToolContract(name="pay", timeout=5, retry_policy={"attempts": 2, "initial_interval": 0.5})
ToolContract(name="pay", timeout=5, side_effects="writes")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
ToolContract(name="pay", timeot=5)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]

assert_type(exact.timeout, float)
assert_type(exact.retry_policy, Retries)
assert_type(exact.auth_scope, tuple[str, ...])
assert_type(exact.approval, bool)
assert_type(exact.backoff(1, 0.5), float)
assert_type(exact.result_type, TypeAdapter[Any] | None)


@tool
@contract(timeout=5, side_effects="read")
def search(q: str) -> str:
    """Search."""
    return q


@contract(timeout=5)
@tool
def lookup(q: str) -> str:
    """Look up."""
    return q


@contract(timeout=5)
def plain(q: str) -> str:
    """The function stays what it was."""
    return q


assert_type(lookup, BaseTool)
assert_type(plain("x"), str)
assert_type(contract_of(search), ToolContract | None)

contracts = Contracts.load("tools.yaml")
Contracts.load(Path("tools.yaml"))
Contracts.load({"pay": {"timeout": 5}})
Contracts.load([exact, {"name": "pay", "timeout": 5}])
Contracts.load()
assert_type(contracts.get("pay"), ToolContract | None)
assert_type(contracts["pay"], ToolContract)
assert_type(contracts.of("pay", lookup), ToolContract | None)
assert_type(contracts.check([search, plain]), None)
