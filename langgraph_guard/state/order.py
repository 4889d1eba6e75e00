"""A total order over JSON values: a choice between two of them is the same whoever came first."""

from __future__ import annotations

import json
import math
from typing import Any


def order(value: Any) -> tuple[float, str]:
    """A sort key: numbers by size, everything else by its JSON text. Equal keys are equal values."""
    size = value if isinstance(value, int | float) and value == value else -math.inf  # NaN has no size.
    return size, json.dumps(value, sort_keys=True, default=repr)


def larger(a: Any, b: Any) -> Any:
    """The one of two values that stays when both claim the same place."""
    if type(a) is type(b) in (int, str) and a == b:
        return a
    return max(a, b, key=order)
