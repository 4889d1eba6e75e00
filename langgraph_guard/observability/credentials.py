"""What credentials look like: private keys, bearer tokens, the keys of well-known services, JSON web tokens, passwords
in addresses, in `name=value` pairs and on command lines, cookies, signatures in addresses, and card numbers.

Names and e-mail addresses are none: who asked is what a trace is searched by.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Final

HIDDEN: Final = "[redacted]"
NAME_CHARS: Final = 100
"""The end of a name that tells what it is of."""
KNOWN: Final = 4096
"""Names come again and again: so many are remembered."""


class _Shape:
    """What a credential looks like, and quick looks: where the pattern finds something, one of them does as well.

    A search for a pattern that begins with plain letters skips to them; one that begins with a choice, a boundary or
    letters of either case is tried at each character, which takes 20 times as long. Texts without secrets are most.
    """

    def __init__(self, pattern: str, *looks: str, shown: str | Callable[[re.Match[str]], str] = HIDDEN) -> None:
        self._pattern = re.compile(pattern)
        self._looks = [re.compile(look).search for look in looks]
        self._shown = shown

    def hide(self, text: str, looked_at: str) -> str:
        """`looked_at` is the text, or the text in small letters where the pattern takes letters of either case."""
        if any(look(looked_at) for look in self._looks):
            return self._pattern.sub(self._shown, text)
        return text


# Repeats are bounded or take what they read for good (`++`), and none stands beside another that takes the same
# characters: linear time, whatever the text.
# Where letters of either case are meant, they are ASCII letters: what has others in their place is another word.
_KEY_BLOCK = re.compile(  # what it repeats it never gives back, since all behind that is optional
    r"-----BEGIN [A-Z ]{0,30}PRIVATE KEY(?: BLOCK)?-----"
    r"(?:[^-]|-(?!----)){0,20000}(?:-----END [A-Z ]{0,30}PRIVATE KEY(?: BLOCK)?-----)?"
)
_KEYS: Final = (
    # OpenAI, Anthropic, Langfuse, Stripe; AWS
    *(rf"{begin}[-_][\w-]{{16,400}}" for begin in ("sk", "pk", "rk")),
    *(r"AKIA[0-9A-Z]{16}\b", r"ASIA[0-9A-Z]{16}\b"),
    # GitHub, GitLab; Google; Slack, Hugging Face, LangSmith
    *(r"gh[pousr]_\w{20,400}", r"github_pat_\w{20,400}", r"glpat-[\w-]{16,400}"),
    *(r"AIza[\w-]{30,60}", r"ya29\.[\w-]{16,4000}", r"GOCSPX-[\w-]{16,400}"),
    *(r"xox[a-z]-[\w-]{10,400}", r"hf_[0-9A-Za-z]{20,400}", r"lsv2_[a-z]{2}_\w{16,400}"),
    # Groq, Pinecone, Replicate, Figma, Notion; xAI, Tavily, Perplexity, NVIDIA
    *(rf"{begin}_\w{{16,400}}" for begin in ("gsk", "pcsk", "r8", "figd", "ntn")),
    *(rf"{begin}-(?=[\w-]{{0,400}}\d)[\w-]{{16,400}}" for begin in ("xai", "tvly", "pplx", "nvapi")),
    # registries of packages; Stripe, Shopify, Linear
    *(r"npm_[0-9A-Za-z]{20,400}", r"pypi-(?=[\w-]{0,400}\d)[\w-]{16,4000}"),
    *(r"whsec_\w{16,400}", r"shp[a-z]{2}_\w{16,400}", r"lin_api_\w{16,400}"),
    # Vault, Atlassian, DigitalOcean; SendGrid, Twilio, age
    *(r"hvs\.[\w-]{16,400}", r"ATATT3[\w=-]{16,400}", r"dop_v1_\w{16,400}"),
    *(r"SG\.[\w-]{16,100}\.[\w-]{16,100}", r"SK[0-9a-f]{32}\b", r"AGE-SECRET-KEY-1[0-9A-Z]{16,400}"),
)
_TOKEN = _Shape(
    rf"\b(?:{'|'.join(_KEYS)})"
    r"|(?<=hooks\.slack\.com/services/)[\w/]{16,100}|(?<!\d)\d{8,10}:AA[\w-]{30,40}"  # Slack, Telegram
    r"|(?<![\w-])eyJ[\w-]{8,8000}\.[\w-]{8,8000}(?:\.[\w-]{0,8000})?",  # JSON web tokens
    *_KEYS,
    r"hooks\.slack\.com/services/",
    r":AA[\w-]{30}",
    r"eyJ[\w-]{8}",
)
_ADDRESS = re.compile(r"://(?:[^\s\"']++|[\"'](?![\s,:;)}\]>]|$))++")  # to a space, or to a quote that ends something
_USER = re.compile(r"://[^\s/:@?#]{0,200}:(?!\d{1,5}(?:[/?#]|$))")  # and no port
_ALONE = re.compile(r"(://)(?=[a-zA-Z_-]{0,40}\d)[\w-]{16,400}(?=@)")  # a token as the user, and no password
_SCHEME = _Shape(
    r"\b((?ai:bearer|basic) {1,4}(?=[\w.~+/=-]{8})|(?ai:bearer) {1,4}(?=[a-zA-Z]{0,6}\d))[\w.~+/=-]{4,8000}",
    "bearer ",
    "basic ",
    shown=rf"\1{HIDDEN}",
)
_BETWEEN: Final = r"\\{0,3}[\"']?\s{0,8}(?:[:=]>?|%3[aAdD])\s{0,8}(?:[|>][-+]?\n\s{0,40})?"
"""A name and its value: in a header, an assignment, JSON, JSON that is a text in JSON, an address, YAML."""
_OPENING: Final = r"(?:[bBrRuU]{0,2}(?:\"{3}|'{3}|\\{0,3}[\"']))?+"
_VALUE: Final = (
    r"(?:(?<=\\[\"'])[^\"'\\\r\n]++"  # what begins with a quote goes on to the next, or to the line's end
    r"|(?<=\")(?:[^\"\\\r\n]++|\\.)++|(?<=')(?:[^'\\\r\n]++|\\.)++"
    r"|(?!\\{1,3}[\"'])[^\s\"',;&]{1,4000}+)"
)
_WHOSE: Final = "(?:db|user|admin|root|smtp|mail|email|ftp|ssh|mysql|pg|postgres|redis|mongo|proxy)"
"""Where `pass` is a password; elsewhere it may be a filter, or a run over something."""
_NAMES: Final = (
    *("pass(?:word|wd|phrase|code)", rf"{_WHOSE}[_-]?pass", "pwd", "secret", "token", "authorization"),
    *("api[ _-]?key", "(?:access|private|secret)[_-]?key", "(?:encryption|signing)[_-]?key"),
    "(?<![a-zA-Z])(?:otp|cvv|cvc)",
)
_LOOKS: Final = (
    *("pass(?:word|wd|phrase|code)?", "pwd", "secret(?:[_-]?key)?", "token", "authorization", "api[ _-]?key"),
    *("access[_-]?key", "private[_-]?key", "encryption[_-]?key", "signing[_-]?key", "otp", "cv[vc]"),
)
_NAMED = _Shape(
    rf"((?ai:{'|'.join(_NAMES)}){_BETWEEN}{_OPENING}){_VALUE}",
    *(rf"{name}{_BETWEEN}" for name in _LOOKS),
    shown=rf"\1{HIDDEN}",
)
_OPTION = _Shape(
    rf"((?<![\w-])--[\w-]{{0,40}}(?ai:{'|'.join(_NAMES)}) {{1,4}}{_OPENING})(?!-){_VALUE}",
    "--[a-z]",
    shown=rf"\1{HIDDEN}",
)
_ELEMENT = _Shape(
    rf"(<[\w:-]{{0,40}}(?ai:{'|'.join(_NAMES)})>)[^<>]{{1,4000}}+(?=<)",
    *(rf"{name}>" for name in _LOOKS),
    shown=rf"\1{HIDDEN}",
)
_TOLD: Final = ("pass(?:word|phrase|code)", "api key", "token", "secret")
_SPOKEN = _Shape(
    rf"((?ai:{'|'.join(_TOLD)}) (?:is|was):? {_OPENING})(?=\S{{0,100}}\d)[^\s\"',;]{{4,400}}+",
    *(rf"{name} (?:is|was)" for name in _TOLD),
    shown=rf"\1{HIDDEN}",
)
_COMMAND = _Shape(  # passwords of programs that take them behind one letter
    r"((?:\bmysql\w{0,10} (?:[^\r\n]{0,200} )?-p|\bsshpass -p ?|\bredis-cli (?:[^\r\n]{0,200} )?-a ?"
    r"|\bdocker login (?:[^\r\n]{0,200} )?-p ?"
    r"|\bcurl (?:[^\r\n]{0,200} )?(?:-u|--user) ?[^\s:]{1,100}:))[^\s]{1,4000}+",
    *("mysql", "sshpass", "redis-cli", "docker login", "curl"),
    shown=rf"\1{HIDDEN}",
)
_SOURCE = _Shape(  # a data source without a scheme
    r"(\b[\w.-]{1,64}:)[^\s@]{1,200}(?=@(?:tcp|udp|unix)\()", r"@(?:tcp|udp|unix)\(", shown=rf"\1{HIDDEN}"
)
_HEADER = _Shape(  # a scheme and its credential; what stands in quotes is a value like any other
    rf"((?ai:authorization){_BETWEEN})[\w.-]{{1,40}}+( {{1,4}})[^\s\"',;&]{{1,4000}}+",
    rf"authorization{_BETWEEN}",
    shown=rf"\1{HIDDEN}\2{HIDDEN}",
)
_COOKIE = _Shape(
    rf"((?ai:cookie){_BETWEEN}{_OPENING})[^\s=;,\"']{{1,200}}=[^\r\n\"']{{0,8000}}+"
    rf"|((?ai:cookies){_BETWEEN})\{{[^{{}}]{{1,8000}}+\}}",  # as a dict
    rf"cookies?{_BETWEEN}",
    shown=rf"\1\2{HIDDEN}",
)
_SIGNED = _Shape(  # in an address, whatever it is; elsewhere `key=` is a usual word
    r"([?&;][\w.-]{0,40}(?ai:key|sig|signature)=|\b(?ai:sig|signature)=(?=[^\s\"',;&]{0,40}\d))[^\s\"',;&]{1,4000}+",
    "key=",
    "sig=",
    "signature=",
    shown=rf"\1{HIDDEN}",
)
_CARD = re.compile(  # not the digits in an id
    r"[2-6](?<![\w.-][2-6])\d{3}(?:[ -]?(?:\d{4}[ -]?){2}\d{1,7}|[ -]\d{6}[ -]\d{4,5})(?![\w-])"
)
_ISSUED = re.compile(
    r"4(?:\d{12}|\d{15}|\d{18})"  # Visa
    r"|(?:5[1-5]\d\d|222[1-9]|22[3-9]\d|2[3-6]\d\d|27[01]\d|2720)\d{12}"  # Mastercard
    r"|3[47]\d{13}|3(?:0[0-5]|[689]\d)\d{11}"  # American Express, Diners Club
    r"|(?:6011|64[4-9]\d|65\d\d|62\d\d|35[2-8]\d)\d{12,15}"  # Discover, UnionPay, JCB
    r"|(?:5018|5020|5038|5893|6304|6759|676[1-3])\d{9,15}"  # Maestro
)
_SECRET_NAME = re.compile(
    rf"(?i)(?:(?:passwords?|passwd|passphrase|passcode|pwd|{_WHOSE}[_-]?pass|^pass|secrets?)(?:[_-]?(?:hash|\d{{1,2}}))?"
    r"|(?:api|access|private|secret|encryption|signing)[_-]?keys?|token|^(?:basic|http|proxy)?[_-]?auth|auth[_-]?header"
    r"|authorization|^bearer|credentials?|cookies?|(?:^|[_-])(?:jwt|otp|pin|cvv|cvc))$"
)


def default_redact(text: str) -> str:
    """The text with `[redacted]` where a credential or a card number was. Linear time."""
    small = text.lower()
    text = _KEY_BLOCK.sub(HIDDEN, text)
    text = _SCHEME.hide(text, small)
    text = _TOKEN.hide(text, text)
    if "@" in text:
        text = _ADDRESS.sub(_address, text)
    for shape in (_SOURCE, _COMMAND, _OPTION, _COOKIE, _HEADER, _NAMED, _ELEMENT, _SPOKEN, _SIGNED):
        text = shape.hide(text, small)
    return _CARD.sub(_card, text)


def is_secret(name: object) -> bool:
    """Whether what stands under `name` is hidden whole: a password, a key, a token."""
    return isinstance(name, str) and _ends_as_a_secret(name[-NAME_CHARS:])


@lru_cache(KNOWN)
def _ends_as_a_secret(name: str) -> bool:
    return _SECRET_NAME.search(name) is not None


def _address(found: re.Match[str]) -> str:
    """A password may hold what ends it in a correct address: it is taken to go on to the last `@`."""
    text = found[0]
    user, end = _USER.search(text), text.rfind("@")
    if user is not None and user.end() < end:
        return f"{text[: user.end()]}{HIDDEN}{text[end:]}"
    return _ALONE.sub(rf"\1{HIDDEN}", text)


def _card(found: re.Match[str]) -> str:
    number = found[0].replace(" ", "").replace("-", "")
    return HIDDEN if _ISSUED.fullmatch(number) and _is_valid(number) else found[0]


def _is_valid(number: str) -> bool:
    """Luhn's check sum."""
    digits = [int(digit) for digit in number]
    doubled = [digit * 2 - 9 * (digit > 4) for digit in digits[-2::-2]]
    return (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0
