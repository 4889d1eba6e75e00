"""`langgraph_guard.prices` is light until a price is asked for."""

from __future__ import annotations

import subprocess
import sys

HEAVY = ("genai_prices", "httpx", "httpx2", "langchain_core.language_models")


def _loaded_after(code: str) -> set[str]:
    script = f"{code}\nimport sys\nprint(*sys.modules)"
    answer = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(answer.stdout.split())


def test_the_import_loads_no_price_list() -> None:
    """1.6 MB of prices and an HTTP client are for those who ask for a price."""
    code = (
        "from langgraph_guard.prices import Price, Usage, price_book; price_book({'m': Price(1, 1)}).rates('m', None)"
    )
    assert _loaded_after(code).isdisjoint(HEAVY)


def test_the_list_is_loaded_when_a_price_is_asked_for() -> None:
    """The check above sees a difference where there is one."""
    assert "genai_prices" in _loaded_after(
        "from langgraph_guard.prices import price_book; price_book(None).rates('m', None)"
    )
