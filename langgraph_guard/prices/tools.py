"""What tools cost that charge money: a search API, a page that is scraped, a second of somebody's GPU."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from langgraph_guard.errors import ConfigError, InvalidAmount
from langgraph_guard.prices.price import Usd, checked_usd, yocto
from langgraph_guard.prices.rates import micro_usd

_log = logging.getLogger(__name__)

MOST_USD: Final = 1_000
"""The largest price of a call, or of a unit, that is believed."""

MOST_UNITS: Final = 10**6

OF_OPENAI: Final = {
    "code_interpreter_call": "code_interpreter",
    "computer_call": "computer",
    "file_search_call": "file_search",
    "image_generation_call": "image_generation",
    "web_search_call": "web_search",
}
"""The blocks of an answer for which OpenAI ran a tool of its own."""

OF_ANY: Final = ("server_tool_use", "server_tool_call", "server_tool_call_chunk")
"""Anthropic's blocks, and those that LangChain makes of every provider's: they carry the tool's name."""


@dataclass(frozen=True, slots=True)
class ToolPrice:
    """USD per call of a tool, and per unit that a call uses up. `ToolPrice("0.01")`.

    `most_units`: how many a call can use up. With a price per unit it is required, because that much is reserved.
    `units`: from a tool's result (a `ToolMessage`, or what the tool returned where nobody asked by an id) to what it
    used up; by default `artifact["units"]` of the message. A call that does not tell costs all that was reserved.
    """

    per_call: Usd
    per_unit: Usd = 0
    most_units: int = 0
    units: Callable[[Any], int] | None = None

    def __post_init__(self) -> None:
        checked_usd("tool_price.per_call", self.per_call, MOST_USD)
        by_unit = checked_usd("tool_price.per_unit", self.per_unit, MOST_USD) > 0
        if by_unit != (_units("tool_price.most_units", self.most_units) > 0):
            raise ConfigError("tool_price.most_units", "goes with per_unit: together they say what a call can cost")
        if self.units is not None and not (by_unit and callable(self.units)):
            raise ConfigError("tool_price.units", "must be a function of a tool's result, beside per_unit")

    def cost(self, units: int = 0) -> int:
        """Micro-USD of a call that used up `units`, rounded up; those beyond `most_units` are charged as well."""
        return micro_usd(self._yocto("per_call") + _units("units", units) * self._yocto("per_unit"))

    def worst(self) -> int:
        """Micro-USD that a call within `most_units` cannot exceed."""
        return self.cost(self.most_units)

    def used(self, result: Any) -> int | None:
        """The units that a result says were used up; `None` when it says nothing that can be, or tells of an error."""
        if getattr(result, "status", None) == "error":
            return None
        try:
            return _units("units", (self.units or _reported)(result))
        except Exception:  # the user's function, or what somebody's tool returned: no reason to fail a healthy run
            _log.debug("a tool's result tells no units", exc_info=True)
            return None

    def _yocto(self, name: str) -> int:
        return yocto(checked_usd(f"tool_price.{name}", getattr(self, name), MOST_USD))


def tool_prices(prices: Mapping[str, ToolPrice] | None) -> Mapping[str, ToolPrice]:
    """What users pass as `tool_prices=`, checked: prices by name of the tool. A tool that is not in it is free."""
    if not isinstance(prices or {}, Mapping):
        raise ConfigError("tool_prices", f"must be a mapping of tool to ToolPrice, got {type(prices).__name__}")
    for name, price in (prices or {}).items():
        if not isinstance(price, ToolPrice):
            raise ConfigError(f"tool_prices[{name!r}]", f"must be a ToolPrice, got {type(price).__name__}")
    return dict(prices or {})


def worst_of_tools(prices: Mapping[str, ToolPrice], names: Iterable[str]) -> int:
    """Micro-USD that one call of each of `names` cannot exceed."""
    return sum(prices[name].worst() for name in names if name in prices)


def run_by_provider(answer: Any) -> Counter[str]:
    """The tools that the provider itself ran for an answer, and bills by the call: from the answer's content blocks.

    Of a stream, each part tells its own.
    """
    told: Counter[str] = Counter()
    # langchain-openai's older form of a message keeps these blocks beside the content.
    for blocks in (answer.content, answer.additional_kwargs.get("tool_outputs")):
        if isinstance(blocks, list):
            told.update(name for block in blocks if isinstance(block, dict) and (name := _tool_of(block)))
    return told


def _tool_of(block: Mapping[str, Any]) -> str | None:
    kind = block.get("type")
    if kind in OF_ANY:
        return block.get("name")  # Of a call that arrives in pieces, only the first has it.
    return OF_OPENAI.get(str(kind))


def _reported(result: Any) -> Any:
    return result.artifact["units"]


def _units(field: str, units: object) -> int:
    if type(units) is int and 0 <= units <= MOST_UNITS:
        return units
    raise InvalidAmount(field, f"must be a whole number from 0 to {MOST_UNITS}, got {type(units).__name__}")
