"""Secrets are taken out before a sink sees them, and taking them out can neither fail nor stall."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langgraph.types import Command, Interrupt, Send

from langgraph_guard.observability import redaction
from langgraph_guard.observability.redaction import FAILED, HIDDEN, MARGIN, Redactor, default_redact

SECRETS = {
    "openai": "sk-proj-abcdefghij0123456789",
    "aws": "AKIAIOSFODNN7EXAMPLE",
    "github": "ghp_abcdefghijklmnopqrstuvwxyz0123",
    "slack": "xoxb-123456789012-abcdefghij",
    "google": "AIzaSyA-abcdefghijklmnopqrstuvwxyz01",
    "jwt": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2lnbmF0dXJl",
    "card": "4111 1111 1111 1111",
    "pem": "-----BEGIN RSA PRIVATE KEY-----\nMIIEow\n-----END RSA PRIVATE KEY-----",
}
HARMLESS = (
    "I have 3 kites, call me at noon",
    "trace 1f0c2d3e4b5a69788796a5b4c3d2e1f0",
    "thread 12345678-1234-5678-1234-567812345678",
    "bob@example.com asked for 1,000 tokens: 5120 in all",
    "https://example.com/a?b=c",
    "",
)


@pytest.mark.parametrize("secret", SECRETS.values(), ids=SECRETS)
def test_a_credential_is_taken_out(secret: str) -> None:
    """The shapes that end up in prompts, error texts and addresses."""
    assert default_redact(f"see {secret} here") == f"see {HIDDEN} here"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Authorization: Bearer abcdef123456", f"Authorization: {HIDDEN} {HIDDEN}"),
        ("postgres://bob:hunter2@db/x", f"postgres://bob:{HIDDEN}@db/x"),
        ('{"password": "hunter2", "n": 1}', f'{{"password": "{HIDDEN}", "n": 1}}'),
        ("DB_PASSWORD=hunter2;x", f"DB_PASSWORD={HIDDEN};x"),
        ("https://x.y/?api_key=abc&b=1", f"https://x.y/?api_key={HIDDEN}&b=1"),
    ],
    ids=["bearer", "url", "json", "environment", "query"],
)
def test_what_stands_beside_a_telling_name_is_taken_out(text: str, shown: str) -> None:
    """A password has no shape: its name gives it away."""
    assert default_redact(text) == shown


@pytest.mark.parametrize("text", HARMLESS, ids=range(len(HARMLESS)))
def test_other_texts_stay_as_they_are(text: str) -> None:
    """A trace is searched by ids and by who asked; a redactor that eats them is switched off."""
    assert default_redact(text) == text


@pytest.mark.parametrize(
    "part",
    ["a", "token ", "eyJ", "eyJaaaaaaaaaaa-", "://a:", "1 ", "-----BEGIN PRIVATE KEY-----", "sk-", "bearer "],
)
def test_no_text_stalls_it(part: str) -> None:
    """Texts come from models and users: with a pattern that goes over one again from each place, a quarter of a
    megabyte that was written for it takes longer than any test may."""
    assert default_redact(part * (250_000 // len(part)))


_PARTS = [
    *("sk", "pk", "rk", "AKIA", "ASIA", "ghp", "github_pat", "xox", "AIza", "eyJ", "Bearer", "BASIC", "İ", "ſ", "K"),
    *("Password", "passwd", "PWD", "secret", "api", "access", "Key", "toKen", "Authorization", "\u00a0", "\n"),
    *("-", "_", " ", ":", "=", '"', "'", ".", "b", "x" * 30, "A1B2C3D4E5F6G7H8"),
]


@pytest.mark.parametrize("shape", ["_SCHEME", "_TOKEN", "_NAMED"])
@given(parts=st.lists(st.sampled_from(_PARTS), max_size=12))
def test_a_quick_look_misses_no_secret(shape: str, parts: list[str]) -> None:
    """It is what makes a text without secrets cheap; a secret that it passes over is in every trace."""
    text, sought = "".join(parts), getattr(redaction, shape)
    looked_at = text if shape == "_TOKEN" else text.lower()
    assert sought.hide(text, looked_at) == sought._pattern.sub(sought._shown, text)


def test_what_stays_in_a_value_stays_what_it_was() -> None:
    """Handlers tell messages apart by their class, and dashboards read figures as figures."""
    given = {"n": 3, "x": 1.5, "ok": True, "none": None, "list": ["a"], "pair": ("a", 2)}
    assert Redactor().value(given) == given


def test_a_value_is_walked_to_its_leaves() -> None:
    """Secrets hide in tool arguments, in messages, in a resume's answer, in an exception."""
    secret = SECRETS["openai"]
    given = {
        "messages": [HumanMessage(f"use {secret}"), AIMessage("", tool_calls=[_call(secret)]), _answer(secret)],
        "command": Command(resume={"key": secret}, goto=Send("node", {"key": secret})),
        "interrupt": Interrupt(value=[secret]),
        "error": ValueError(secret),
        "bytes": secret.encode(),
        secret: 1,
        "set": {secret},
        "object": _Odd(secret),
    }
    walked = Redactor().value(given)
    assert secret not in repr(walked)
    assert [type(message) for message in walked["messages"]] == [HumanMessage, AIMessage, ToolMessage]


def _call(secret: str) -> Any:
    return {"name": "search", "args": {"q": [secret]}, "id": "1"}


def _answer(secret: str) -> ToolMessage:
    return ToolMessage(secret, tool_call_id="1", artifact={"raw": secret}, additional_kwargs={"x": secret})


class _Odd:
    def __init__(self, secret: str) -> None:
        self._secret = secret

    def __repr__(self) -> str:
        return self._secret


def test_what_stands_under_a_telling_name_is_hidden_whole() -> None:
    """A password in a dict has no shape either."""
    assert Redactor().value({"password": "x", "input_tokens": 5}) == {"password": HIDDEN, "input_tokens": 5}


def test_the_value_that_was_given_is_not_touched() -> None:
    """It is the run's state."""
    message = HumanMessage("password=hunter2")
    given = {"messages": [message]}
    Redactor().value(given)
    assert (message.content, given["messages"]) == ("password=hunter2", [message])


def _raises(text: str) -> str:
    raise ValueError(text)


def test_a_redactor_that_fails_hides_everything() -> None:
    """It is the user's function. What it could not judge is not shown, and the run does not hear of it."""
    redactor = Redactor(_raises)
    assert (redactor.text("a"), redactor.value({"n": ["b"]}), redactor.clip("c", 5)) == (
        FAILED,
        {FAILED: [FAILED]},
        FAILED,
    )


def test_a_redactor_that_returns_no_text_hides_everything() -> None:
    """`None` for "nothing to change" is a usual mistake."""
    assert Redactor(lambda text: None).text("a") == FAILED  # type: ignore[arg-type, return-value]


def test_without_a_redactor_everything_is_shown() -> None:
    """`redact=None` is somebody's decision."""
    assert Redactor(None).value({"password": "x"}) == {"password": "x"}


def test_cycles_and_shared_parts_end() -> None:
    """A state may hold itself, and a list of shared lists unfolds without end."""
    cycle: list[Any] = []
    cycle.append(cycle)
    bomb: list[Any] = ["x"]
    for _ in range(40):
        bomb = [bomb, bomb]
    assert "[too large]" in repr(Redactor().value(cycle))
    assert "[too large]" in repr(Redactor().value(bomb))


@given(st.integers(0, 300), st.integers(1, 200))
def test_a_secret_at_the_cut_is_not_shown_in_part(before: int, limit: int) -> None:
    """A text is clipped before it is read whole: half a key is a key's half, and has no shape any more."""
    secret = "CANARY" * 20
    text = "-" * before + secret + "-" * (MARGIN + 400)
    shown = Redactor(lambda part: part.replace(secret, "#")).clip(text, limit)
    assert "CANARY" not in shown
    assert len(shown) <= limit + 1


@given(st.integers(1, 119))
def test_a_secret_at_the_end_of_what_is_read_is_not_shown_in_part(read: int) -> None:
    """The same where the reading ends, in a text that shrinks by its redaction: the half key would move up."""
    secret, limit = "CANARY" * 20, 200
    text = "x" * (MARGIN + limit - read) + secret + "-" * 10_000
    shown = Redactor(lambda part: part.replace("x", "").replace(secret, "#")).clip(text, limit)
    assert not set(shown) & set(secret)
