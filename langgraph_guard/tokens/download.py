"""Fetching a vocabulary file, for those who ask for it: bounded in time and size, verified, kept for the next start."""

from __future__ import annotations

import logging
import os
import time
import uuid
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from langgraph_guard.tokens.encodings import VocabularyFile
from langgraph_guard.tokens.vocabulary import cache_folder, is_genuine

CONNECT_TIMEOUT: Final = 3.0
READ_TIMEOUT: Final = 10.0
DEADLINE: Final = 60.0
"""Seconds for the whole file: a host that sends a byte now and then passes every read timeout."""

_log = logging.getLogger(__name__)


def download(
    file: VocabularyFile,
    *,
    connect: float = CONNECT_TIMEOUT,
    read: float = READ_TIMEOUT,
    deadline: float = DEADLINE,
) -> bytes | None:
    """The published contents of `file`, or `None`: no network, too slow, or something else came."""
    import httpx

    try:
        timeout = httpx.Timeout(read, connect=connect)
        with httpx.stream("GET", file.url, timeout=timeout) as response:
            response.raise_for_status()
            data = b"".join(_within(response.iter_bytes(), file.size, time.monotonic() + deadline))
    except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
        _log.warning("could not fetch the vocabulary: %s", type(error).__name__)
        return None
    if not is_genuine(data, file):
        _log.warning("what was fetched is not the published vocabulary (%d bytes)", len(data))
        return None
    if (folder := cache_folder()) is not None:
        _keep(data, folder / file.name)
    return data


def _within(pieces: Iterator[bytes], most: int, until: float) -> Iterator[bytes]:
    """The pieces of a body that is no larger than `most`, as long as there is time."""
    for piece in pieces:
        most -= len(piece)
        if most < 0:
            return
        if time.monotonic() > until:
            raise TimeoutError
        yield piece


def _keep(data: bytes, path: Path) -> None:
    """Write whole or not at all; a folder that cannot be written to costs another fetch at the next start."""
    draft = path.with_name(f"{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        draft.write_bytes(data)
        os.replace(draft, path)  # noqa: PTH105 - the atomic rename, by its name
    except OSError as error:
        with suppress(OSError):
            draft.unlink()
        _log.info("the vocabulary is not kept: %s", type(error).__name__)
