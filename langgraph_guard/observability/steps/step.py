"""The record of a step. Adding a field is compatible; to rename or remove one, raise `VERSION`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from operator import attrgetter
from typing import Any, Final, Literal, get_args

VERSION: Final = 1

Kind = Literal["run", "node", "llm", "tool", "guard", "interrupt", "resume", "chain", "feedback"]
Status = Literal["ok", "error", "interrupted", "waiting", "allow", "warn", "block", "trip"]

KINDS: Final[tuple[str, ...]] = get_args(Kind)
CHARGED: Final = "charged_tokens"
"""The attribute of a model call that was charged at what was held for it, because its provider told no figures."""

FAILED: Final = ("error", "block", "trip")
"""What `--failed` shows: something raised, a guard said no, a circuit opened."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One unit of a run, written when it ends. `ts` is when it began, in epoch seconds; money is in micro-USD.

    Costs stand on leaves alone (model calls, and charges that belong to none), so they add up to what was spent.
    `id` is LangChain's run id where there is one; `parent_id` is the nearest step around it that is recorded.
    `args` and `result` are texts: redacted, and cut. `attrs` has what a guard's event says, and JSON only.
    """

    ts: float
    trace_id: str
    thread_id: str | None = None
    id: str
    parent_id: str | None = None
    kind: Kind
    name: str
    node: str | None = None
    step: int | None = None
    checkpoint_ns: str | None = None
    status: Status = "ok"
    duration_ms: float | None = None
    model: str | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_read_tokens: int | None = None
    cost_micro_usd: int | None = None
    error_type: str | None = None
    error: str | None = None
    tool_call_id: str | None = None
    args: str | None = None
    result: str | None = None
    attrs: Mapping[str, Any] = field(default_factory=dict)

    @property
    def tokens(self) -> int:
        """As the provider said, or as many as the ledger charged where it said nothing."""
        said = (self.input_tokens or 0) + (self.output_tokens or 0)
        return said or _count(self.attrs.get(CHARGED))

    @property
    def failed(self) -> bool:
        return self.status in FAILED

    @property
    def values(self) -> tuple[Any, ...]:
        """What its fields hold, in the order of `FIELDS`."""
        return _values(self)

    def as_dict(self) -> dict[str, Any]:
        return {**dict(zip(FIELDS, self.values, strict=True)), "attrs": {**self.attrs}}

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Step:
        """A step from what `as_dict` gave; fields that a later version added are left out. Raises `TypeError` for what
        is no step."""
        known = {name: record[name] for name in FIELDS if name in record}
        for name, value in known.items():
            if not _fits(name, value):
                raise TypeError(f"{name} of a step cannot be that {type(value).__name__}")
        return cls(**known)


def _count(value: object) -> int:
    return value if type(value) is int else 0


NUMBERS: Final = ("step", "duration_ms", "input_tokens", "output_tokens", "cache_read_tokens", "cost_micro_usd")
FIELDS: Final = tuple(each.name for each in fields(Step))
_values: Final = attrgetter(*FIELDS)

_LAST: Final = 253_402_300_800.0
"""The end of the year 9999, after which there are no dates to show."""


def _fits(name: str, value: Any) -> bool:
    """Logs are files, which people edit and disks damage."""
    if name in ("kind", "status"):
        return value in get_args(Kind if name == "kind" else Status)
    if name == "attrs":
        return isinstance(value, Mapping)
    if name in ("ts", "trace_id", "id", "name") and value is None:
        return False
    if name == "ts":
        return isinstance(value, int | float) and 0 <= value < _LAST
    if name in NUMBERS:
        return value is None or (isinstance(value, int | float) and math.isfinite(value))
    return value is None or isinstance(value, str)
