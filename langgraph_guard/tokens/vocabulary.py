"""Where a vocabulary file may already lie on this machine, and whether what lies there is it.

Nothing here opens a connection, imports the packages that it looks into, or changes a file.
"""

from __future__ import annotations

import hashlib
import logging
import os
import tempfile
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Final

from langgraph_guard.tokens.encodings import VocabularyFile

CARRIERS: Final = (
    ("llama-index-core", "llama_index/core/_static/tiktoken_cache"),
    ("litellm", "litellm/litellm_core_utils/tokenizers"),
)
"""Distributions that bring the files, and the folder in which they do."""

_log = logging.getLogger(__name__)
_told: set[Path] = set()


def local_vocabulary(file: VocabularyFile) -> bytes | None:
    """The contents of `file`, verified, from the first place that has them."""
    return next((data for path in places(file) if (data := verified(path, file)) is not None), None)


def places(file: VocabularyFile) -> Iterator[Path]:
    if (folder := cache_folder()) is not None:
        yield folder / file.name
    yield default_folder() / file.name
    for package, inside in CARRIERS:
        try:
            yield Path(str(distribution(package).locate_file(inside))) / file.name
        except PackageNotFoundError:
            continue


def cache_folder() -> Path | None:
    """Where tiktoken keeps its files; `None` when the environment turns that off."""
    for name in ("TIKTOKEN_CACHE_DIR", "DATA_GYM_CACHE_DIR"):
        if name in os.environ:
            return Path(os.environ[name]) if os.environ[name] else None
    return default_folder()


def default_folder() -> Path:
    return Path(tempfile.gettempdir()) / "data-gym-cache"


def verified(path: Path, file: VocabularyFile) -> bytes | None:
    """The bytes at `path` if they are `file`. One that was cut or altered stays where it is, and is told of once."""
    try:
        size = path.stat().st_size
        data = path.read_bytes() if size == file.size else b""
    except OSError:
        return None
    if is_genuine(data, file):
        return data
    if path not in _told:
        _told.add(path)
        _log.warning("ignored a vocabulary file that is not the published one: %s (%d bytes)", path, size)
    return None


def is_genuine(data: bytes, file: VocabularyFile) -> bool:
    return len(data) == file.size and hashlib.sha256(data).hexdigest() == file.sha256
