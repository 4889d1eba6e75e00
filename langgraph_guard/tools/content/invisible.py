"""What people do not see and models read: escape sequences, controls, bidi marks, tags, joiners out of place.

What scripts and emoji need stays: a joiner after a letter of a script that joins, or between two emoji; a variation
selector after a character that has variants; the flags of England, Scotland and Wales; a zero-width space between two
letters of a script that writes no spaces.

Each step makes one pass, and leaves nothing for itself or an earlier one: cleaning twice changes nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final, TypeAlias

Step: TypeAlias = Callable[[str], str]

EMOJI: Final = (
    r"\u00a9\u00ae\u203c\u2049\u2122\u2139\u2194-\u2199\u21a9\u21aa\u231a\u231b\u2328\u23cf\u23e9-\u23f3\u23f8-\u23fa"
    r"\u24c2\u25aa\u25ab\u25b6\u25c0\u25fb-\u25fe\u2600-\u2604\u260e\u2611\u2614\u2615\u2618\u261d\u2620\u2622\u2623"
    r"\u2626\u262a\u262e\u262f\u2638-\u263a\u2640\u2642\u2648-\u2653\u265f\u2660\u2663\u2665\u2666\u2668\u267b\u267e"
    r"\u267f\u2692-\u2697\u2699\u269b\u269c\u26a0\u26a1\u26a7\u26aa\u26ab\u26b0\u26b1\u26bd\u26be\u26c4\u26c5\u26c8"
    r"\u26ce\u26cf\u26d1\u26d3\u26d4\u26e9\u26ea\u26f0-\u26f5\u26f7-\u26fa\u26fd\u2702\u2705\u2708-\u270d\u270f\u2712"
    r"\u2714\u2716\u271d\u2721\u2728\u2733\u2734\u2744\u2747\u274c\u274e\u2753-\u2755\u2757\u2763\u2764\u2795-\u2797"
    r"\u27a1\u27b0\u27bf\u2934\u2935\u2b05-\u2b07\u2b1b\u2b1c\u2b50\u2b55\u3030\u303d\u3297\u3299\U0001f000-\U0001faff"
)
"""Unicode's `Extended_Pictographic`, modifiers and regional indicators; beyond the first plane, their whole blocks."""

IDEOGRAPHS: Final = r"\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U000323af"
VARYING: Final = r"\u2018-\u201d\u2200-\u22ff\u2a00-\u2aff\u1000-\u109f\ua840-\ua87f\u3001\u3002\uff01\uff0c\uff0e"
"""Signs with standardized variants, beside emoji and ideographs."""

JOINING: Final = (
    r"\u0590-\u05ff\u0600-\u061b\u061d-\u08ff\u0900-\u0eff\u0f00-\u109f\u1780-\u17b3\u17b6-\u17ff\u1810-\u18aa"
    r"\u1900-\u1aff\u1b00-\u1cff\ua800-\uaaff\uabc0-\uabff\ufb1d-\ufdcf\ufdf0-\ufdff\ufe70-\ufefc"
    r"\U00010a00-\U00010d3f\U00010e80-\U00011fff\U00016100-\U0001613f\U0001e900-\U0001e95f"
)
"""Hebrew, Arabic, Syriac, N'Ko, the Indic scripts and their neighbours, Mongolian, Adlam."""

SPACELESS: Final = r"\u0e00-\u0eff\u0f00-\u0fff\u1000-\u109f\u1780-\u17b3\u17b6-\u17ff\u1980-\u1aaf\ua980-\uaadf"
"""Thai, Lao, Tibetan, Burmese, Khmer, Javanese and their neighbours."""

MONGOLIAN: Final = r"\u1820-\u18aa"

_NO_CHARACTERS: Final = r"\ufdd0-\ufdef" + "".join(f"\\U{plane:04x}fffe\\U{plane:04x}ffff" for plane in range(17))

_SURROGATES: Final = re.compile(r"[\ud800-\udfff]")
_ESCAPES: Final = re.compile(
    r"""
    \x1b (?: \[ [0-?]*+ [\x20-/]*+ [@-~]?+                       # colours, cursor
           | [\]PX^_] [^\x07\x1b\n]*+ (?: \x07 | \x1b\\ )?+      # titles, links, device strings: to their end
           | [\x20-/]++ [0-~]?+
           | [0-~]
         )?+
    """,
    re.VERBOSE,
)
_CONTROLS: Final = re.compile(r"[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f]+")
_LINE_ENDS: Final = re.compile(r"[\x0b\x0c\x85]|\r(?!\n)")
_BIDI: Final = re.compile(r"[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]+")
_INVISIBLE: Final = re.compile(
    r"[\u00ad\u115f\u1160\u17b4\u17b5\u2060-\u2065\u206a-\u206f\u3164\ufeff\uffa0\ufff0-\ufffb\U00013430-\U0001343f"
    rf"\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0080-\U000e00ff\U000e01f0-\U000e0fff{_NO_CHARACTERS}]+"
)
_FLAGS: Final = "|".join(
    "".join(f"\\U{0xE0000 + ord(letter):08x}" for letter in name) for name in ("gbeng", "gbsct", "gbwls")
)
_TAGS: Final = re.compile(rf"(\U0001f3f4(?:{_FLAGS})\U000e007f)|[\U000e0000-\U000e007f]+")
_VARIANTS: Final = re.compile(
    rf"""
    ( (?<=[{EMOJI}]) [\ufe0e\ufe0f]
    | (?<=[#*0-9]) \ufe0f (?=\u20e3)                             # keycaps
    | (?<=[{IDEOGRAPHS}]) [\ufe00-\ufe02\U000e0100-\U000e01ef]
    | (?<=[{VARYING}]) [\ufe00-\ufe02]
    ) | [\ufe00-\ufe0f\U000e0100-\U000e01ef]+
    """,
    re.VERBOSE,
)
_JOINERS: Final = re.compile(
    rf"""
    ( (?<=[{JOINING}]) [\u200c\u200d\u034f]
    | (?<=[{EMOJI}\ufe0f\U000e007f]) \u200d (?=[{EMOJI}])
    | (?<=[{SPACELESS}]) \u200b (?=[{SPACELESS}])
    | (?<=[{MONGOLIAN}]) [\u180b-\u180f]
    ) | [\u034f\u180b-\u180f\u200b-\u200d]+
    """,
    re.VERBOSE,
)


_ANY: Final = re.compile(
    r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f"
    r"\u202a-\u202e\u2060-\u206f\u3164\ud800-\udfff\ufdd0-\ufdef\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\ufffe\uffff"
    r"\U00013430-\U0001343f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U0001fffe-\U0001ffff\U0002fffe-\U0010ffff]"
)
"""What a step may find, and some more: most texts have none of it, and one look is enough."""


def visible(text: str) -> tuple[str, dict[str, int]]:
    """`text` after all steps, and how many characters went, by what they were."""
    found: dict[str, int] = {}
    for kind, pattern, step in STEPS if "\r" in text or _ANY.search(text) else ():
        if pattern.search(text):
            before, text = text, step(text)
            if before != text:
                found[kind] = len(before) - len(text) or 1
    return text, found


def surrogates(text: str) -> str:
    """Pairs become the character that they are the halves of; a half alone has no meaning, and no UTF-8."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def controls(text: str) -> str:
    """Form feeds and their like end a line. A carriage return stays before a line feed: Windows writes so."""
    return _LINE_ENDS.sub("\n", _CONTROLS.sub("", text))


def dropping(pattern: re.Pattern[str]) -> Step:
    """Without what `pattern` finds; what is in its group stays."""
    return lambda text: pattern.sub(r"\1" if pattern.groups else "", text)


STEPS: Final[tuple[tuple[str, re.Pattern[str], Step], ...]] = (
    ("surrogates", _SURROGATES, surrogates),
    ("escapes", _ESCAPES, dropping(_ESCAPES)),
    ("controls", re.compile(f"{_CONTROLS.pattern}|{_LINE_ENDS.pattern}"), controls),
    ("bidi", _BIDI, dropping(_BIDI)),
    ("invisible", _INVISIBLE, dropping(_INVISIBLE)),
    ("tags", _TAGS, dropping(_TAGS)),
    ("variants", _VARIANTS, dropping(_VARIANTS)),
    ("joiners", _JOINERS, dropping(_JOINERS)),
)
"""What each looks for, by what it is called when it is found."""
