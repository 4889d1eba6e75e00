"""One model of the file: which of its keys are prices, and of what."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final, TypeAlias

from langgraph_guard.errors import ConfigError
from langgraph_guard.prices.price import checked_usd, yocto
from langgraph_guard.prices.rates import ByKind, Rates, rates_by_kind

KINDS: Final = {
    "input_cost_per_token": "input",
    "output_cost_per_token": "output",
    "cache_read_input_token_cost": "cache_read",
    "cache_creation_input_token_cost": "cache_write",
    "cache_creation_input_token_cost_above_1hr": "cache_write_1h",
    "input_cost_per_audio_token": "input_audio",
    "output_cost_per_audio_token": "output_audio",
    "cache_read_input_audio_token_cost": "cache_audio_read",
    "output_cost_per_reasoning_token": "reasoning",
    "input_cost_per_request": "request",
}
"""The file's keys, and our kinds of tokens."""

CACHE_HIT: Final = "input_cost_per_token_cache_hit"
"""An older name of the price of cache reads."""

MODES: Final = ("chat", "responses", "completion")
"""The `mode` of models that answer in text."""

MOST_USD: Final = 1
"""The largest price of a token, or a request, that is believed."""

# For example input_cost_per_token_above_200k_tokens_priority: a kind, above which prompt, for which service tier.
_KEY: Final = re.compile(
    rf"(?P<kind>{'|'.join(KINDS)})(?:_above_(?P<start>\d{{1,9}})(?P<k>k?)_tokens)?(?:_(?P<tier>flex|priority|fast))?"
)

Steps: TypeAlias = dict[int, dict[str, int]]
"""Yocto-USD by kind, of prompts with more tokens than the key."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A model's prices: the standard ones, and what each service tier changes."""

    provider: str
    is_chat: bool
    standard: Steps
    tiers: Mapping[str, Steps]

    def rates(self, tier: str | None) -> Rates:
        special = self.tiers.get(tier or "", {})
        steps = [(start, self._above(start, special)) for start in sorted({*self.standard, *special})]
        return Rates(steps[0][1], tuple(steps[1:]))

    def _above(self, start: int, special: Steps) -> ByKind:
        """Prices above `start`. Where a service tier and a longer context each change one, the dearer counts."""
        prices = _up_to(self.standard, start)
        for kind, (at, price) in _up_to(special, start).items():
            from_, standard = prices.get(kind, (at, price))
            prices[kind] = at, price if at >= from_ else max(price, standard)
        return rates_by_kind(**{kind: price for kind, (_, price) in prices.items()})


def entry_of(field: str, listed: Mapping[str, Any]) -> Entry | None:
    """The prices in `listed`; `None` when it lacks those of input and output tokens. Raises `ConfigError`."""
    tiers: dict[str, Steps] = {"": {0: {}}}
    for tier, start, kind, price in (*_flat_prices(field, listed), *_stepped_prices(field, listed)):
        tiers.setdefault(tier, {}).setdefault(start, {})[kind] = price
    standard = tiers.pop("")
    if not standard[0].keys() >= {"input", "output"}:
        return None
    return Entry(str(listed.get("litellm_provider") or ""), listed.get("mode") in MODES, standard, tiers)


def _flat_prices(field: str, listed: Mapping[str, Any]) -> Iterator[tuple[str, int, str, int]]:
    """(service tier, start, kind, yocto-USD) of each key that is a price."""
    if listed.get(CACHE_HIT) is not None:
        yield "", 0, "cache_read", _yocto(f"{field}.{CACHE_HIT}", listed[CACHE_HIT])
    for key, usd in listed.items():
        found = _KEY.fullmatch(key)
        if found is not None and usd is not None:
            start = int(found["start"] or 0) * (1_000 if found["k"] else 1)
            yield found["tier"] or "", start, KINDS[found["kind"]], _yocto(f"{field}.{key}", usd)


def _stepped_prices(field: str, listed: Mapping[str, Any]) -> Iterator[tuple[str, int, str, int]]:
    """The same of `tiered_pricing`: prices by range of the prompt's length."""
    field = f"{field}.tiered_pricing"
    for number, step in enumerate(_list(field, listed.get("tiered_pricing"))):
        where = f"{field}[{number}]"
        for tier, start, kind, price in _flat_prices(where, step):
            yield tier, max(start, _start(where, step)), kind, price


def _list(field: str, steps: object) -> list[Mapping[str, Any]]:
    if steps is None:
        return []
    if isinstance(steps, list) and all(isinstance(step, dict) for step in steps):
        return steps
    raise ConfigError(field, f"must be a list of objects, is a {type(steps).__name__}")


def _start(field: str, step: Mapping[str, Any]) -> int:
    match step.get("range"):
        case [Decimal() as start, *_] if start.is_finite() and 0 <= start < 10**9:
            return int(start)
        case other:
            raise ConfigError(f"{field}.range", f"must be [from, to] in tokens, is a {type(other).__name__}")


def _up_to(steps: Steps, start: int) -> dict[str, tuple[int, int]]:
    """Each kind's price in the highest step up to `start`, with that step."""
    return {kind: (at, price) for at in sorted(steps) if at <= start for kind, price in steps[at].items()}


def _yocto(field: str, usd: object) -> int:
    return yocto(checked_usd(field, usd, MOST_USD))
