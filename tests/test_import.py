"""`import langgraph_guard` stays light: names are lazy, and heavy things load where they are used."""

from __future__ import annotations

import json
import subprocess
import sys

HEAVY = {"genai_prices", "httpx", "langchain", "langfuse", "redis", "rich", "tiktoken"}


def _fresh(code: str, show: str = "list(sys.modules)") -> list[str]:
    """What `show` is in a new interpreter that ran `code`."""
    script = f"{code}\nimport json, sys\nprint(json.dumps({show}))"
    answer = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr
    names: list[str] = json.loads(answer.stdout.splitlines()[-1])
    return names


def _heavy_beyond_langgraph(code: str) -> set[str]:
    extra = set(_fresh(code)) - set(_fresh("import langgraph.graph"))
    return {name for name in extra if name.partition(".")[0] in HEAVY}


def test_the_import_loads_no_driver_no_tokenizer_and_no_price_table() -> None:
    """Every worker, every command line and every serverless start pays for this line."""
    assert _heavy_beyond_langgraph("import langgraph_guard") == set()


def test_a_heavy_import_would_be_noticed() -> None:
    """The check above compares two interpreters; it has to see a difference where there is one."""
    assert "redis" in _heavy_beyond_langgraph("import langgraph_guard, redis")


def test_the_import_loads_no_node() -> None:
    """Lazy means that the price of a name is paid when the name is used."""
    loaded = _fresh("import langgraph_guard")
    assert [name for name in loaded if name.startswith("langgraph_guard.nodes")] == []


def test_every_public_name_resolves() -> None:
    """A lazy name is a string until someone asks for it: a typing error in one would only show at a user's desk."""
    code = (
        "import langgraph_guard as guard\n"
        "def missing():\n"
        "    for name in guard.__all__:\n"
        "        try: getattr(guard, name)\n"
        "        except Exception as error: yield f'{name}: {error!r}'"
    )
    assert _fresh(code, "list(missing())") == []


def test_public_names_are_listed_once_and_shown_by_dir() -> None:
    """`dir()` and completion are how people find a name."""
    names = _fresh("import langgraph_guard", "list(langgraph_guard.__all__)")
    shown = _fresh("import langgraph_guard", "dir(langgraph_guard)")
    assert names
    assert (len(set(names)), set(names) - set(shown)) == (len(names), set())


def test_an_unknown_name_is_an_attribute_error() -> None:
    """`hasattr` and pickle ask for names that do not exist, and expect this answer."""
    assert _fresh("import langgraph_guard", "[str(hasattr(langgraph_guard, 'no_such_name'))]") == ["False"]
