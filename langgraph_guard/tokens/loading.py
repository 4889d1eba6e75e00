"""One encoding per name and process, built from verified bytes, or known to be missing."""

from __future__ import annotations

import asyncio
import base64
import logging
import sys
import threading
from typing import TYPE_CHECKING

from langgraph_guard.tokens.download import download
from langgraph_guard.tokens.encodings import ENCODINGS, EncodingName, EncodingSpec
from langgraph_guard.tokens.vocabulary import local_vocabulary

if TYPE_CHECKING:
    from tiktoken import Encoding

_log = logging.getLogger(__name__)

_loaded: dict[EncodingName, Encoding] = {}
_missing: set[tuple[EncodingName, bool]] = set()
_locks: dict[EncodingName, threading.Lock] = {name: threading.Lock() for name in ENCODINGS}


def find_encoding(name: EncodingName, *, allow_download: bool = False) -> Encoding | None:
    """The encoding, from what is on this machine; over the network only if that is allowed.

    Both answers are remembered, so that a machine without the file, or without a network, pays for the search once.
    """
    found = _loaded.get(name)
    if found is not None or (name, allow_download) in _missing:
        return found
    with _locks[name]:  # Ours alone: tiktoken's is held by others while they wait for the network.
        if name not in _loaded and (name, allow_download) not in _missing:
            _look_for(ENCODINGS[name], allow_download)
    return _loaded.get(name)


async def search_for(name: EncodingName, *, allow_download: bool = False) -> None:
    """The same search in a thread, so that nobody who shares the event loop waits for a disk or a network."""
    if name not in _loaded and (name, allow_download) not in _missing:
        await asyncio.to_thread(find_encoding, name, allow_download=allow_download)


def look_again() -> None:
    """Forget that a vocabulary was missing, so that the next count searches again."""
    _missing.clear()


def _look_for(spec: EncodingSpec, allow_download: bool) -> None:
    found = _of_tiktoken(spec.name) or _built(spec, allow_download)
    if found is not None:
        _loaded[spec.name] = found
        return
    if (spec.name, False) not in _missing:
        _log.info("no vocabulary of %s on this machine: its token counts are estimates", spec.name)
    _missing.update({(spec.name, False), (spec.name, allow_download)})


def _of_tiktoken(name: EncodingName) -> Encoding | None:
    """What somebody in this process has already loaded."""
    registry = sys.modules.get("tiktoken.registry")
    found: Encoding | None = registry.ENCODINGS.get(name) if registry else None
    return found


def _built(spec: EncodingSpec, allow_download: bool) -> Encoding | None:
    data = local_vocabulary(spec.file)
    if data is None and allow_download:
        data = download(spec.file)
    return None if data is None else build(spec, data)


def build(spec: EncodingSpec, data: bytes) -> Encoding:
    """An encoding of `data`, which must be verified."""
    from tiktoken import Encoding

    ranks = {base64.b64decode(token): int(rank) for token, rank in (line.split() for line in data.splitlines() if line)}
    return Encoding(spec.name, pat_str=spec.pattern, mergeable_ranks=ranks, special_tokens=dict(spec.special_tokens))
