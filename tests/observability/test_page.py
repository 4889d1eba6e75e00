"""The page says what can be queried: an alert on a name that nobody writes never fires."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Final

from langgraph_guard.observability.otel import names
from langgraph_guard.observability.steps import Step

PAGE: Final = (Path(__file__).parents[2] / "docs" / "observability.md").read_text(encoding="utf-8")
UNITS: Final = {"s": "_seconds", "USD": "_USD"}
LABELS: Final = {"gen_ai_tool_name", "gen_ai_agent_name", "gen_ai_request_model", "gen_ai_token_type"}


def series() -> Iterator[tuple[str, set[str]]]:
    """Each metric as Prometheus names it, and what it is stored as."""
    for name, (unit, _) in names.METRICS.items():
        plain = name.replace(".", "_") + UNITS.get(unit, "")
        if name in names.BUCKETS:
            yield plain, {f"{plain}_{part}" for part in ("bucket", "sum", "count")}
        else:
            counts = name in ("langgraph_guard.decisions", "langgraph_guard.cost")
            yield plain + "_total" * counts, {plain + "_total" * counts}


def test_no_unit_changes_a_name() -> None:
    """Prometheus calls a gauge of the unit 1 a ratio, on one way into it and not on another."""
    assert {unit for unit, _ in names.METRICS.values() if not unit.startswith("{")} == set(UNITS)


def test_the_page_lists_every_metric() -> None:
    """One that is not there is found by nobody."""
    table = set(re.findall(r"`((?:langgraph_guard|gen_ai)_\w+)`", PAGE))
    assert table - LABELS == {name for name, _ in series()}


def test_alerts_ask_for_metrics_that_exist() -> None:
    """An alert with a wrong name is silent, and looks like peace."""
    (alerts,) = re.findall(r"^```promql\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    asked = set(re.findall(r"(?:langgraph_guard|gen_ai)_\w+", alerts))
    assert asked - LABELS <= set().union(*(stored for _, stored in series()))
    assert len(asked) > 5


def test_attributes_on_the_page_are_in_the_table() -> None:
    """They are searched for by name."""
    said = set(re.findall(r"`((?:langgraph_guard|gen_ai)\.[\w.]*\w)`", PAGE))
    known = {value for value in vars(names).values() if isinstance(value, str)} | {"langgraph_guard.reason"}
    assert said <= known


def test_the_page_lists_every_column() -> None:
    """Whoever writes SQL begins with them."""
    table = PAGE.partition("| Column | |")[2].partition("\n\n")[0]
    first = [row.split("|")[1] for row in table.splitlines() if row.startswith("| `")]
    assert set(re.findall(r"`(\w+)`", "".join(first))) == {each.name for each in fields(Step)}
