"""The genuine vocabularies for the benchmarks that count tokens, whatever else this machine has."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING

from langgraph_guard.tokens import loading
from langgraph_guard.tokens.encodings import ENCODINGS, EncodingName
from tests.vocabulary import vocabulary_folder

if TYPE_CHECKING:
    from tiktoken import Encoding


class NoVocabulary(Exception):
    """The files are not on this machine, and no package index has them for it."""


@cache
def encodings() -> dict[EncodingName, Encoding]:
    """By name, built by ourselves: a truth that our own search for files cannot spoil."""
    try:
        folder = vocabulary_folder()
    except (OSError, subprocess.SubprocessError) as missing:
        raise NoVocabulary("no vocabulary on this machine, and no package index that has one") from missing
    return {name: loading.build(spec, (folder / spec.file.name).read_bytes()) for name, spec in ENCODINGS.items()}


@contextmanager
def finding(found: dict[EncodingName, Encoding]) -> Iterator[None]:
    """Counters find these, and no others."""
    before = dict(loading._loaded), set(loading._missing)
    _put(found, {(name, allowed) for name in ENCODINGS.keys() - found.keys() for allowed in (True, False)})
    try:
        yield
    finally:
        _put(*before)


def _put(loaded: dict[EncodingName, Encoding], missing: set[tuple[EncodingName, bool]]) -> None:
    loading._loaded.clear()
    loading._loaded.update(loaded)
    loading._missing.clear()
    loading._missing.update(missing)
