"""Secrets are taken out before a sink sees them, and taking them out can neither fail nor stall."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langgraph.types import Command, Interrupt, Send
from pydantic import BaseModel, computed_field

from langgraph_guard.errors import ConfigError
from langgraph_guard.observability import credentials
from langgraph_guard.observability.credentials import HIDDEN, default_redact
from langgraph_guard.observability.redaction import FAILED, MARGIN, TOO_LARGE, Redactor

SECRETS = {
    "openai": "sk-proj-abcdefghij0123456789",
    "aws": "AKIAIOSFODNN7EXAMPLE",
    "github": "ghp_abcdefghijklmnopqrstuvwxyz0123",
    "slack": "xoxb-123456789012-abcdefghij",
    "google": "AIzaSyA-abcdefghijklmnopqrstuvwxyz01",
    "jwt": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2lnbmF0dXJl",
    "card": "4111 1111 1111 1111",
    "amex": "3782 822463 10005",
    "card of 19 digits": "6212345678901234569",
    "card of 13 digits": "4222222222222",
    "mastercard": "2223003122003222",
    "pem": "-----BEGIN RSA PRIVATE KEY-----\nMIIEow\n-----END RSA PRIVATE KEY-----",
    "hugging face": "hf_abcdefghijABCDEFGHIJabcdefghijABCD",
    "gitlab": "glpat-abcdefghij0123456789",
    "npm": "npm_abcdefghijABCDEFGHIJ0123456789abcdef",
    "sendgrid": "SG.abcdefghijABCDEFGHIJ01.abcdefghijABCDEFGHIJ0123456789abcdefghijABC",
    "google access": "ya29.a0AfH6SMBabcdefghij-0123456789",
    "langsmith": "lsv2_pt_0123456789abcdef0123456789abcdef_0123456789",
    "groq": "gsk_abcdefghij0123456789",
    "stripe webhook": "whsec_abcdefghij0123456789",
    "shopify": "shpat_abcdefghij0123456789",
    "tavily": "tvly-abcdefghij0123456789",
    "vault": "hvs.abcdefghij0123456789",
    "atlassian": "ATATT3xFfGF0abcdefghij0123",
    "twilio": "SK0123456789abcdef0123456789abcdef",
    "telegram": "123456789:AAabcdefghijklmnopqrstuvwxyz0123456",
    "pem with headers": "-----BEGIN RSA PRIVATE KEY-----\nDEK-Info: AES-128-CBC,0\n\nM\n-----END RSA PRIVATE KEY-----",
    "pgp": "-----BEGIN PGP PRIVATE KEY BLOCK-----\n\nlQ\n-----END PGP PRIVATE KEY BLOCK-----",
}
HARMLESS = (
    "I have 3 kites, call me at noon",
    "trace 1f0c2d3e4b5a69788796a5b4c3d2e1f0",
    "thread 12345678-1234-5678-1234-567812345678",
    "bob@example.com asked for 1,000 tokens: 5120 in all",
    "https://example.com/a?b=c",
    "https://example.com:8443/a?mail=bob@example.com",
    "see http://localhost:3000, or ask bob@example.com",
    "[here](http://localhost:3000) bob@example.com",
    "sorted(rows, key=by_name), and the cookie: chocolate, sig=none",
    "the basic idea of a bearer of news",
    "all tests pass: 3, compass: north, key: 4, tokens: 5120, the token is expired, a secret is kept",
    "first_pass: 12, low_pass=3, xai-is-the-name-of-this-company, pypi-package-index-server-name",
    "run it with --token-limit 100 --secret-santa --password --verbose",
    "mysql -p shop, curl -u bob, ssh://git@github.com:22/a, https://a-long-name-of-somebody@x.y",
    "",
)
LUHN_VALID_IDS = (
    *("1732242000005", "1732242123451230", "9007199254740990", "18446744073709551611"),
    *("175928847299117062", "412345678901234561", "1234567890123452818", "30569309025904124", "5105105105105100518"),
)
"""Milliseconds, microseconds, snowflakes: some of them pass a card's check sum, and none has a card's beginning and
length."""


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
        ("{'password': 'hunter2 with spaces'}", f"{{'password': '{HIDDEN}'}}"),
        ('{"password": "it\'s, \\"so\\" long", "n": 1}', f'{{"password": "{HIDDEN}", "n": 1}}'),
        (r"{\"password\": \"hunter2 with spaces\"}", rf"{{\"password\": \"{HIDDEN}\"}}"),
        ('password="never closed; \n the rest', f'password="{HIDDEN}\n the rest'),
        ("postgres://u:pa/ss@h/db", f"postgres://u:{HIDDEN}@h/db"),
        ("postgres://u:p:a@ss@h bob@x.y", f"postgres://u:{HIDDEN}@h bob@x.y"),
        ('"redis://:p?#w@h:6379/0"', f'"redis://:{HIDDEN}@h:6379/0"'),
        ("http://proxy?to=http://u:secret@h", f"http://proxy?to=http://u:{HIDDEN}@h"),
        ("Authorization: Bearer abc1234", f"Authorization: {HIDDEN} {HIDDEN}"),
        ("authorization: Token abc", f"authorization: {HIDDEN} {HIDDEN}"),
        ("it sent bearer abc1234", f"it sent bearer {HIDDEN}"),
        ("{b'password': b'hunter2 x'}", f"{{b'password': b'{HIDDEN}'}}"),
        ('{"password": "", "n": 1}', '{"password": "", "n": 1}'),
        ('password = """hunter2 x"""', f'password = """{HIDDEN}"""'),
        ('postgres://u:p"w@h', f"postgres://u:{HIDDEN}@h"),
        ('{"url":"http://h:80x","to":"bob@x.y"}', '{"url":"http://h:80x","to":"bob@x.y"}'),
        ("https://x.y/?key=abc&b=1", f"https://x.y/?key={HIDDEN}&b=1"),
        ("https://x.y/?sv=2&sig=a%2Fb%3D&b=1", f"https://x.y/?sv=2&sig={HIDDEN}&b=1"),
        ("https://x.y/?X-Amz-Signature=abc", f"https://x.y/?X-Amz-Signature={HIDDEN}"),
        ("signature=a1b2c3d4e5f6", f"signature={HIDDEN}"),
        ("Endpoint=sb://x/;AccountKey=abc==;b", f"Endpoint=sb://x/;AccountKey={HIDDEN};b"),
        ("Cookie: sid=abc; theme=dark\nHost: x", f"Cookie: {HIDDEN}\nHost: x"),
        ("Set-Cookie: sid=abc; Path=/; HttpOnly", f"Set-Cookie: {HIDDEN}"),
        ('{"cookie": "sid=abc; theme=dark"}', f'{{"cookie": "{HIDDEN}"}}'),
        ("get(url, cookies={'sid': 'abc'}, n=1)", f"get(url, cookies={HIDDEN}, n=1)"),
        ("tool --password hunter2 --user bob", f"tool --password {HIDDEN} --user bob"),
        ("tool --db-password 'hunter2 x' -v", f"tool --db-password '{HIDDEN}' -v"),
        ("mysql -h db -u bob -phunter2 shop", f"mysql -h db -u bob -p{HIDDEN} shop"),
        ("sshpass -p hunter2 ssh h", f"sshpass -p {HIDDEN} ssh h"),
        ("redis-cli -h h -a hunter2 get x", f"redis-cli -h h -a {HIDDEN} get x"),
        ("curl -s -u bob:hunter2 http://h", f"curl -s -u bob:{HIDDEN} http://h"),
        ("passphrase: hunter2", f"passphrase: {HIDDEN}"),
        ("DB_PASS=hunter2 SECRET_KEY=x2", f"DB_PASS={HIDDEN} SECRET_KEY={HIDDEN}"),
        ("my password is hunter2, ok?", f"my password is {HIDDEN}, ok?"),
        ("<a><password>hunter2</password></a>", f"<a><password>{HIDDEN}</password></a>"),
        ("password => 'hunter2'", f"password => '{HIDDEN}'"),
        ("password: |\n  hunter2\nnext", f"password: |\n  {HIDDEN}\nnext"),
        ("a?password%3Dhunter2", f"a?password%3D{HIDDEN}"),
        ("root:hunter2@tcp(127.0.0.1:3306)/db", f"root:{HIDDEN}@tcp(127.0.0.1:3306)/db"),
        ("docker login -u x -p hunter2", f"docker login -u x -p {HIDDEN}"),
        ("https://hooks.slack.com/services/T0/B0/abcdefghij", f"https://hooks.slack.com/services/{HIDDEN}"),
        ("https://0123456789abcdef0123@git.x.y/z", f"https://{HIDDEN}@git.x.y/z"),
    ],
    ids=[
        *("bearer", "url", "json", "environment", "query", "quoted", "escaped", "json in json", "not closed"),
        *("url with a slash", "url with more at", "url with a mark", "url in a url", "short bearer", "token", "said"),
        *("bytes", "empty", "three quotes", "url with a quote", "compact json"),
        *("key", "shared access", "signed", "signature", "connection", "cookie", "set-cookie", "cookie in json"),
        *("cookies", "option", "quoted option", "mysql", "sshpass", "redis-cli", "curl", "passphrase", "user alone"),
        *("pass", "spoken", "xml", "arrow", "yaml", "in an address", "data source", "docker", "hook"),
    ],
)
def test_what_stands_beside_a_telling_name_is_taken_out(text: str, shown: str) -> None:
    """A password has no shape: its name gives it away."""
    assert default_redact(text) == shown


@pytest.mark.parametrize("text", HARMLESS, ids=range(len(HARMLESS)))
def test_other_texts_stay_as_they_are(text: str) -> None:
    """A trace is searched by ids and by who asked; a redactor that eats them is switched off."""
    assert default_redact(text) == text


@pytest.mark.parametrize("number", LUHN_VALID_IDS)
def test_a_number_that_no_network_issues_is_no_card(number: str) -> None:
    """One in ten passes the check sum, and a trace without times and ids says nothing."""
    assert default_redact(number) == number


_EVIL = [
    *("a", "token ", "eyJ", "eyJaaaaaaaaaaa-", "://a:", "1 ", "-----BEGIN PRIVATE KEY-----", "sk-", "bearer "),
    *(
        "@://",
        "://a:a@",
        "://a:1/",
        "token=",
        "token='",
        'token="',
        r"token=\"",
        'token="\\',
        "token\\\\\\",
        "token: \n",
    ),
    *(
        "cookie:",
        "cookie: a",
        "set-cookie:'",
        "cookie: a=",
        "authorization: ",
        "authorization: a ",
        "authorization:\\",
        "authorization:",
    ),
    *("?key=", "&aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaakey=", "?a.key", "sig=1", "signature=", ";sig=a"),
    *(
        "SG.",
        "SG.aaaaaaaaaaaaaaaaaaaa",
        "hf_",
        "npm_a",
        "ya29.",
        "glpat-",
        "lsv2_aa_",
        "4111 ",
        "4111-1111",
        "3782 822463 ",
    ),
    *("bearer a", "bearer 1", "basic aaaaaaa", '"', "\\"),
    *("--", "--token ", "--a", "mysql ", "mysql a ", "curl -u ", "curl a:", "redis-cli ", "cookies={", "cookies={a"),
    *("://a0@", "@://a1", "passphrase: ", "<password>", "password is ", "a:@tcp(", "a:b@tcp(", "password: |\n "),
    *("-----BEGIN PRIVATE KEY-----a-", "--a-", ":AAa", "hooks.slack.com/services/", "SK0", "password%3D"),
]


@pytest.mark.parametrize("part", _EVIL, ids=range(len(_EVIL)))
def test_no_text_stalls_it(part: str) -> None:
    """Texts come from models and users: with a pattern that goes over one again from each place, a quarter of a
    megabyte that was written for it takes longer than any test may."""
    assert default_redact(part * (250_000 // len(part)))


_PARTS = [
    *("sk", "pk", "rk", "AKIA", "ASIA", "ghp", "github_pat", "xox", "AIza", "eyJ", "Bearer", "BASIC", "İ", "ſ", "K"),
    *("Password", "passwd", "PWD", "secret", "api", "access", "Key", "toKen", "Authorization", "\u00a0", "\n"),
    *("cookie", "SIG", "Signature", "hf", "npm", "glpat", "SG", "ya29", "lsv2_pt", "?", "&", ";", "\\", "4", "1"),
    *(
        "<",
        ">",
        "@tcp(",
        "is",
        "was",
        "%3D",
        "|",
        "_pass",
        "otp",
        "cvv",
        "docker login",
        "gsk_",
        "whsec_",
        "SK",
        "hvs.",
    ),
    *("mysql", "curl", "redis-cli", "sshpass", "-p", "-a", "-u", "--", "cookies", "{", "}", "passphrase"),
    *("-", "_", " ", ":", "=", '"', "'", ".", "b", "x" * 30, "A1B2C3D4E5F6G7H8"),
]


@pytest.mark.parametrize(
    "shape",
    [
        "_SCHEME",
        "_TOKEN",
        "_NAMED",
        "_HEADER",
        "_COOKIE",
        "_SIGNED",
        "_OPTION",
        "_COMMAND",
        "_ELEMENT",
        "_SPOKEN",
        "_SOURCE",
    ],
)
@given(parts=st.lists(st.sampled_from(_PARTS), max_size=12))
def test_a_quick_look_misses_no_secret(shape: str, parts: list[str]) -> None:
    """It is what makes a text without secrets cheap; a secret that it passes over is in every trace."""
    text, sought = "".join(parts), getattr(credentials, shape)
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
    hidden = ("pwd", "DB_PASS", "secretKey", "api_keys", "passwords", "auth", "cvv", "user_otp", "password_hash")
    shown = ("tokens", "session_id", "compass", "author", "key", "pinned", "keyboard", "low_pass", "is_auth")
    assert set(Redactor().value(dict.fromkeys(hidden, "x")).values()) == {HIDDEN}
    assert set(Redactor().value(dict.fromkeys(shown, "x")).values()) == {"x"}


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


@pytest.mark.parametrize(
    "make", [list, tuple, set, frozenset, dict.fromkeys], ids=["list", "tuple", "set", "frozenset", "dict"]
)
@pytest.mark.parametrize("leaf", [float, str], ids=["figures", "texts"])
def test_of_a_value_with_too_many_parts_the_rest_is_one_mark(make: Any, leaf: Any) -> None:
    """A state may hold a million figures: a copy of each, or a mark in the place of each, is seconds of a run."""
    shown = Redactor().value(make(map(leaf, range(1_000_000))), most=100)
    assert 100 <= len(shown) <= 101
    assert TOO_LARGE in shown


def test_a_message_with_too_many_parts_shows_no_field_as_it_was() -> None:
    """It is copied with the fields that were looked at: one that is left out would be the one that was given."""
    said, full = "password=hunter2", {"x": ["x"] * 200}
    message = HumanMessage(said, name=said, additional_kwargs=full, response_metadata={"note": said})
    assert "hunter2" not in repr(Redactor().value(message, most=100))


def test_a_text_that_a_model_makes_of_its_fields_is_redacted() -> None:
    """It is written down with the fields, and may say what none of them says."""
    assert Redactor().value([Address(host="h")]) == [{"host": "h", "url": f"postgres://u:{HIDDEN}@h", "odd": FAILED}]


class Address(BaseModel):
    host: str
    _password: str = "hunter2"

    @computed_field  # type: ignore[prop-decorator]
    @property
    def url(self) -> str:
        return f"postgres://u:{self._password}@{self.host}"

    @computed_field  # type: ignore[prop-decorator]
    @property
    def odd(self) -> str:
        raise ValueError(self._password)


def test_what_is_not_shown_is_not_read() -> None:
    """Of many long texts a few are shown: a redactor takes seconds for all of them."""
    read: list[str] = []
    Redactor(lambda text: read.append(text) or "").value([f"{n} {'x' * 10_000}" for n in range(1_000)], chars=100)  # type: ignore[func-returns-value]
    assert len(read) < 10


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


def test_a_function_that_learns_is_asked_each_time() -> None:
    """A secret may be known only after it was seen once; an answer that is remembered would show it for ever."""
    known: list[str] = []
    redactor = Redactor(lambda text: "…" if text in known else text)
    assert redactor.text("kite-7") == "kite-7"
    known.append("kite-7")
    assert redactor.text("kite-7") == "…"


@pytest.mark.parametrize("redact", [default_redact, None, lambda text: text], ids=["default", "none", "own"])
def test_half_a_character_is_not_shown(redact: Any) -> None:
    """No protocol takes it: one costs all that is sent with it."""
    redactor = Redactor(redact)
    assert (redactor.text("a\ud83d"), redactor.clip("a\ud83d", 10)) == ("a?", "a?")


def test_a_number_is_looked_at_wherever_it_stands() -> None:
    """A card number may be a number, also as a key."""
    card = 4111111111111111
    assert Redactor().value({card: card, 7: 8}) == {HIDDEN: HIDDEN, 7: 8}


async def _asked(text: str) -> str:
    return text


def test_a_function_that_would_have_to_be_waited_for_is_none() -> None:
    """It answers with a coroutine, and everything would be hidden."""
    with pytest.raises(ConfigError, match="redact: must answer at once"):
        Redactor(_asked)  # type: ignore[arg-type]
