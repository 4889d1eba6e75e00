"""An event loop for many short calls."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias

Run: TypeAlias = Callable[[Coroutine[Any, Any, Any]], Any]


@contextmanager
def one_loop() -> Iterator[Run]:
    """What runs work on it. Without `Runner.run`'s handler of interrupts, which takes longer than many a call."""
    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        yield runner.get_loop().run_until_complete
