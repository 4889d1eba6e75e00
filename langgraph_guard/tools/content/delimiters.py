"""The marks that chat templates put around turns, system prompts and tool calls: a tool's result has no use for them.

Found through look-alikes as well: fullwidth and mathematical letters by Unicode's compatibility forms, and the letters
of other scripts that look Latin. What is changed is one character, which people read as what it was: `‹` for `<`.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

NAMES: Final = (
    r"system(?:[_-](?:prompt|instructions?|message|reminder))?|assistant|developer|human",
    r"function_(?:calls?|results?|call_results)|invoke|tool_(?:calls?|code|outputs?|responses?|results?|use)",
    r"think|thinking|antml:\w{1,40}",
    r"(?:start|end)_of_(?:turn|image|audio|text)|[be]os(?:_token)?|unused\d{1,4}|extra_id_\d{1,4}|special_\d{1,4}",
)
"""Of tags: roles, tool calls, reasoning, and the special tokens of Gemma, Command R, T5 and Nemotron."""

BRACKETED: Final = r"INST|SYSTEM_PROMPT|AVAILABLE_TOOLS|TOOL_CALLS|TOOL_RESULTS|TOOL_CONTENT|gMASK"
"""Of Mistral, Llama 2 and GLM."""

_NAME: Final = rf"/?(?:{'|'.join(NAMES)}|function=\w{{1,64}})(?=[\s>/=])"
# Each alternative begins with a literal, so that `re` skips to where one can be.
_MARKS: Final = re.compile(
    rf"""
    <(?= \|/?\w[^\s<>|‹]{{0,63}}\|> )                # <|im_start|>, and whatever else is written like it
    | <<(?= /?SYS>> )
    | <(?= {_NAME} )
    | <(?<! \w<) (?= (?i:{_NAME}) )                 # after a word, as in `List<Human>`, it is a type
    | \[(?= /?(?:{BRACKETED})\] )
    | \n[ \t\r]*+\n[ \t]*+ (?= (?:H(?:uman|UMAN)|A(?:ssistant|SSISTANT))[ \t]?: )
    """,
    re.VERBOSE,
)
_NEUTRAL: Final = {"<": "‹", "<<": "‹‹", "[": "⟦"}
QUOTED: Final = "> "
"""Before `Human:` or `Assistant:` after an empty line."""

_LOOK_ALIKES: Final = dict(
    zip(
        "аеорсухіјѕһԁԛԝАВЕКМНОРСТУХІЈЅοινρτυΑΒΕΖΗΙΚΜΝΟΡΤΥΧ〈⟨˂ᐸ〉⟩˃ᐳ│┃∣ǀ∕⁄∶꞉ː\u2028\u2029",
        "aeopcyxijshdqwABEKMHOPCTYXIJSoivptuABEZHIKMNOPTYX<<<<>>>>||||//:::\n\n",
        strict=True,
    )
)
"""Cyrillic, Greek and signs. Not `‹`, which is what we write."""


def neutralised(text: str) -> tuple[str, int]:
    """`text` with its delimiters changed so that neither a tokenizer nor a reader takes them for some, and how many."""
    pieces: list[str] = []
    at = 0
    for mark in _MARKS.finditer(folded(text)):
        found = text[mark.start() : mark.end()]
        pieces += text[at : mark.start()], _NEUTRAL.get(mark.group()) or found + QUOTED
        at = mark.end()
    return ("".join((*pieces, text[at:])), len(pieces) // 2) if pieces else (text, 0)


def folded(text: str) -> str:
    """`text` as it looks, character by character: places in it are places in `text`.

    A character that is written with several, such as a ligature, stays itself.
    """
    if text.isascii():
        return text
    return text.translate({ord(char): like for char in set(text) if (like := _like(char)) != char})


def _like(char: str) -> str:
    found = char if char.isascii() else unicodedata.normalize("NFKC", char)
    return _LOOK_ALIKES.get(found, found) if len(found) == 1 else char
