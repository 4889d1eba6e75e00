"""What is wrong with a setting, in words: which field, what it must be, what it is. Never the value itself."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from difflib import get_close_matches
from typing import Any, Final

from pydantic import ValidationError

LONGEST_NAME: Final = 60

_MUST_BE: Final[Mapping[str, str]] = {
    "bool_type": "must be true or false",
    "dict_type": "must be a mapping",
    "float_type": "must be a number",
    "int_type": "must be a whole number",
    "model_type": "must be a mapping",
    "string_type": "must be a text",
    "tuple_type": "must be a text or a list of texts",
}


def first_problem(error: ValidationError, known: Collection[str]) -> tuple[str, str]:
    """The field and the sentence of the first problem, and how many more there are. `known`: what fields there are."""
    problems = error.errors(include_url=False)
    first, others = problems[0], len(problems) - 1
    field = ".".join(named(step) for step in first["loc"]) or "contract"
    more = f" (and {others} more)" if others else ""
    return field, f"{_sentence(first, known)}{more}"


def meant(name: str, known: Iterable[str]) -> str:
    """`; did you mean …?` when something known is spelled much like it."""
    near = get_close_matches(name[:LONGEST_NAME], sorted(known), 1)
    return f"; did you mean {near[0]!r}?" if near else ""


def named(name: object) -> str:
    """A name that somebody wrote, fit for a sentence."""
    text = "".join(letter for letter in str(name)[:LONGEST_NAME] if letter.isprintable())
    return text.strip() or "?"


def _sentence(problem: Any, known: Collection[str]) -> str:
    kind, got, words = problem["type"], problem["input"], str(problem["msg"])
    if kind == "missing":
        return "is missing"
    if kind == "extra_forbidden":
        return f"is not known{meant(str(problem['loc'][-1]), known)}"
    if kind == "string_pattern_mismatch":
        return "must be one line, without a space at its ends"
    if kind in _MUST_BE:
        return f"{_MUST_BE[kind]}, got {type(got).__name__}"
    words = words.removeprefix("Value error, ").replace("Input should be", "must be").replace(" should ", " must ")
    if kind == "literal_error":
        words += meant(got, re.findall(r"'(\w+)'", words)) if isinstance(got, str) else f", got {type(got).__name__}"
    return words[:1].lower() + words[1:]
