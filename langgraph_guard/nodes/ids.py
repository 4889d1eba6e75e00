"""Ids that grow: of what happened within a millisecond, the order stands in them."""

from __future__ import annotations

import uuid
from itertools import count
from typing import Final

_made: Final = count()


def growing_id() -> str:
    """A unique id, above those that this process made before."""
    return f"{next(_made):012x}{uuid.uuid4().hex[:20]}"
