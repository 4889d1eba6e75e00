"""Contracts in YAML, beside the tools: the article's file loads unchanged, and a bad one says which line."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from langgraph_guard.errors import ConfigError
from langgraph_guard.tools.contracts.contract import ToolContract
from langgraph_guard.tools.contracts.loading import Contracts
from langgraph_guard.tools.contracts.yaml_files import MOST_BYTES

THE_ARTICLE = """\
name: get_order_status
owner: support-platform
timeout_seconds: 5
retry_policy: exponential_backoff
idempotent: true
side_effects: none
auth_scope: orders:read
max_calls_per_session: 3
logs:
- tool.name
- tool.status
- retry_safe
- latency_ms
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Where the contracts are."""
    return tmp_path / "tools.yaml"


def problem(file: Path, text: str | bytes) -> str:
    """What is said against a file."""
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    with pytest.raises(ConfigError) as caught:
        Contracts.load(file)
    return str(caught.value)


@pytest.mark.parametrize("as_path", [Path, str])
def test_the_article_s_own_file_loads(file: Path, as_path: type) -> None:
    """Line for line."""
    file.write_text(THE_ARTICLE)
    assert dict(Contracts.load(as_path(file))) == {
        "get_order_status": ToolContract(
            name="get_order_status",
            owner="support-platform",
            timeout=5,
            retry_policy="exponential_backoff",
            idempotent=True,
            side_effects="none",
            auth_scope="orders:read",
            max_calls_per_session=3,
            logs=["tool.name", "tool.status", "retry_safe", "latency_ms"],
        )
    }


@pytest.mark.parametrize(
    "text",
    [
        "- {name: pay, timeout: 5}\n- {name: search, timeout: 3}\n",
        "pay:\n  timeout: 5\nsearch:\n  timeout: 3\n",
        "name: pay\ntimeout: 5\n---\nname: search\ntimeout: 3\n",
        "---\npay: {timeout: 5}\n---\n# nothing\n---\n- {name: search, timeout: 3}\n...\n",
        "\ufeffpay: {timeout: 5}\nsearch: {timeout: 3}\n",
    ],
)
def test_a_file_has_one_contract_or_many(file: Path, text: str) -> None:
    """A list, a table, or one document each."""
    file.write_text(text, encoding="utf-8")
    assert [(each.name, each.timeout) for each in Contracts.load(file).values()] == [("pay", 5.0), ("search", 3.0)]


def test_everything_that_a_contract_may_say_can_be_written(file: Path) -> None:
    """A file that needs Python beside it is half a file."""
    file.write_text(EVERYTHING)
    contract = Contracts.load(file)["delete_order"]
    assert (contract.approval, contract.attempts, contract.keep, contract.reconcile) == (
        True,
        2,
        ("id", "items.name"),
        "shop.orders:was_deleted",
    )


EVERYTHING = """\
delete_order:
  version: 1
  owner: shop
  timeout: 2.5
  retry_policy: {attempts: 2, initial_interval: 1, backoff_factor: 3, max_interval: 9, jitter: 0, budget: 0.1}
  idempotent: true
  side_effects: destructive
  auth_scope: [orders:read, orders:write]
  max_calls_per_session: 2
  trust: untrusted
  keep: [id, items.name]
  max_result_chars: 4000
  sort_key: items.id
  returns: builtins:dict
  reconcile: shop.orders:was_deleted
  approval: required
  polls: false
  max_repairs: 1
  logs: latency_ms
"""

BAD = {
    "a tab": ("name: x\n\ttimeout: 3\n", "line 2: found character '\\t' that cannot start any token"),
    "an open bracket": ("name: [\n", "line 2: expected the node content"),
    "a key twice": ("name: x\ntimeout: 3\ntimeout: 30\n", "line 3: has timeout twice"),
    "a tool twice": ("pay: {timeout: 3}\npay: {timeout: 30}\n", "line 2: has pay twice"),
    "an alias": ("a: &a {timeout: 3}\nb: *a\n", "line 2: has an alias: write it out"),
    "a cycle": ("a: &a\n  logs: *a\n", "line 2: has an alias: write it out"),
    "a bomb": (
        "a: &a [x, x]\nb: &b [*a, *a]\nc: &c [*b, *b]\nd: [*c, *c]\n",
        "line 2: has an alias: write it out",
    ),
    "a Python object": ("!!python/object/apply:os.system ['true']\n", "line 1: could not determine a constructor"),
    "endless nesting": ("[" * 50_000, "is nested too deeply"),
    "a date that is none": ("name: x\ntimeout: 2026-13-45\n", "line 2: is no value"),
    "an endless number": ("name: x\ntimeout: " + "9" * 6_000, "line 2: is no value"),
    "an infinite number": ("name: x\ntimeout: .inf\n", "x.timeout: must be a finite number"),
    "a key that is a list": ("? [a]\n: 3\n", "line 1: found unhashable key"),
    "a number": ("3\n", "must be a contract, a list or a mapping of them, got int"),
    "a text": ("timeout\n", "must be a contract, a list or a mapping of them, got str"),
    "a list of numbers": ("- 3\n", "tools.yaml[0]: must be a mapping of a contract's fields, got int"),
    "a table of nothing": ("pay:\n", "tools.yaml.pay: must be a mapping of a contract's fields, got NoneType"),
    "an empty file": ("", "is empty: it protects nothing"),
    "comments alone": ("# later\n---\n# much later\n", "is empty: it protects nothing"),
    "a typing error": ("pay:\n  timeout_second: 3\n", "pay.timeout_second: is no field of a contract; did you mean"),
    "binary": (b"\xff\xfe\x00\x01", "is not UTF-8 text"),
    "control characters": (b"name: \x00\n", "tools.yaml: is not YAML"),
    "ten megabytes": (b"# " + b"x" * 10_000_000, f"has more than {MOST_BYTES} bytes"),
    "contradictory": ("pay: {timeout: 3, side_effects: destructive}\n", "pay.approval: is required"),
    "two that differ": ("- {name: x, timeout: 3}\n- {name: x, timeout: 4}\n", "differ in timeout"),
}


@pytest.mark.parametrize(("text", "says"), BAD.values(), ids=BAD)
def test_a_bad_file_is_refused_with_its_place(file: Path, text: str | bytes, says: str) -> None:
    """Nothing is built from it, nothing is run, and the line is named where there is one."""
    said = problem(file, text)
    assert says in said
    assert len(said) < 300


def test_a_secret_in_a_bad_file_stays_there(file: Path) -> None:
    """A parser's own message quotes the line."""
    assert "hunter2" not in problem(file, 'name: x\ntimeout: 3\nauth_scope: "hunter2\n')


@pytest.mark.parametrize("name", ["missing.yaml", "", "a\0b", "x" * 5_000])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, name: str) -> None:
    """The path is the first thing to look at."""
    with pytest.raises(ConfigError, match="cannot be read: "):
        Contracts.load(tmp_path / name)


def test_a_file_without_end_is_left_after_a_while() -> None:
    """A device, a pipe: whatever a path can be."""
    with pytest.raises(ConfigError, match="has more than"):
        Contracts.load("/dev/zero")


def test_the_text_of_a_file_is_no_path() -> None:
    """People try it; the answer must not be a surprise."""
    with pytest.raises(ConfigError, match=r"pass the path of a file, or what yaml\.safe_load makes"):
        Contracts.load(THE_ARTICLE)


@given(text=st.text(st.sampled_from("ab:-{}[]\n &*!|>'\"#?,.%@`~0"), max_size=60))
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_whatever_is_in_a_file_is_contracts_or_a_config_error(file: Path, text: str) -> None:
    """A deployment reads one kind of error."""
    file.write_text(text)
    with suppress(ConfigError):
        Contracts.load(file)
