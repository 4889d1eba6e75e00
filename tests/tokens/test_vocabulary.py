"""The vocabulary is found on this machine or not at all, and only the genuine one counts."""

from __future__ import annotations

import logging
import shutil
import subprocess
import sys
import tempfile
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from langgraph_guard.tokens import loading
from langgraph_guard.tokens import vocabulary as places
from langgraph_guard.tokens.encodings import CL100K, ENCODINGS, O200K, EncodingSpec
from langgraph_guard.tokens.loading import find_encoding, look_again

TEXTS = [
    "hello world",
    "It's 10% of 12,345.67€ — naïve",
    "def f(x):\n\treturn  x\r\n\r\n",
    "你好。世界 😀👩‍💻",
    " \n ",
    "\ud800",
]


@pytest.fixture
def searches(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names that were looked for on disk."""
    found: list[str] = []
    real = loading.local_vocabulary

    def spied(file: Any) -> bytes | None:
        found.append(file.name)
        return real(file)

    monkeypatch.setattr(loading, "local_vocabulary", spied)
    return found


def test_our_encodings_are_tiktokens(vocabulary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pattern or a special token that differs would count something else, and nobody would notice."""
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(vocabulary))
    import tiktoken_ext.openai_public as theirs

    for spec in ENCODINGS.values():
        told = getattr(theirs, spec.name)()
        assert (told["pat_str"], told["special_tokens"]) == (spec.pattern, dict(spec.special_tokens))


@pytest.mark.parametrize("spec", ENCODINGS.values(), ids=lambda spec: spec.name)
def test_they_encode_alike(spec: EncodingSpec, fresh_process: None, vocabulary: Path) -> None:
    """The same, by what comes out."""
    import tiktoken_ext.openai_public as theirs
    from tiktoken import Encoding

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TIKTOKEN_CACHE_DIR", str(vocabulary))
        ours, other = find_encoding(spec.name), Encoding(**getattr(theirs, spec.name)())
    assert ours is not None
    assert [ours.encode(text) for text in TEXTS] == [other.encode(text) for text in TEXTS]


@pytest.mark.parametrize("variable", ["TIKTOKEN_CACHE_DIR", "DATA_GYM_CACHE_DIR"])
def test_tiktokens_folders_are_looked_into(
    variable: str, fresh_process: None, vocabulary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Images and build servers that were made for tiktoken need nothing more."""
    monkeypatch.setenv(variable, str(vocabulary))
    assert find_encoding("cl100k_base") is not None


def test_the_folder_of_temporary_files_is_looked_into(
    fresh_process: None, vocabulary: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """It is where tiktoken puts them when nobody says otherwise, and it counts too when somebody does."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(tmp_path / "empty"))
    (tmp_path / "data-gym-cache").symlink_to(vocabulary)
    assert find_encoding("cl100k_base") is not None


@pytest.mark.parametrize(("package", "inside"), places.CARRIERS)
def test_packages_that_carry_the_files_are_looked_into_and_not_imported(
    package: str, inside: str, fresh_process: None, vocabulary: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Importing one of them takes seconds, and overwrites an environment variable."""

    def distribution(name: str) -> Any:
        if name != package:
            raise PackageNotFoundError(name)
        return SimpleNamespace(locate_file=lambda path: tmp_path / path)

    monkeypatch.setattr(places, "distribution", distribution)
    shutil.copytree(vocabulary, tmp_path / inside)
    before = set(sys.modules)
    assert find_encoding("cl100k_base") is not None
    assert {name for name in set(sys.modules) - before if name.startswith(("llama", "litellm"))} == set()


def test_what_tiktoken_has_loaded_is_used(
    fresh_process: None, monkeypatch: pytest.MonkeyPatch, searches: list[str]
) -> None:
    """A second copy would cost eighty megabytes."""
    import tiktoken.registry

    loaded: Any = object()
    monkeypatch.setitem(tiktoken.registry.ENCODINGS, "o200k_base", loaded)
    assert (find_encoding("o200k_base"), searches) == (loaded, [])


@pytest.mark.parametrize("damage", ["cut", "altered", "empty", "a folder"])
def test_a_file_that_is_not_the_published_one_is_ignored_and_stays(
    damage: str,
    fresh_process: None,
    vocabulary: Path,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Counting with it would be wrong in silence, deleting it would be somebody else's loss. It is told of once."""
    path = tmp_path / CL100K.file.name
    data = (vocabulary / path.name).read_bytes()
    if damage == "a folder":
        path.mkdir()
    else:
        path.write_bytes({"cut": data[:-1], "altered": b"?" + data[1:], "empty": b""}[damage])
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(tmp_path))
    with caplog.at_level(logging.WARNING, "langgraph_guard"):
        for _ in range(2):
            look_again()
            assert find_encoding("cl100k_base") is None
    told = [record for record in caplog.records if "not the published one" in record.message]
    assert (len(told), path.exists()) == (1, True)


def test_a_damaged_file_does_not_hide_a_genuine_one(
    fresh_process: None, vocabulary: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The next place is looked into."""
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / CL100K.file.name).write_bytes(b"")
    (tmp_path / "data-gym-cache").symlink_to(vocabulary)
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(tmp_path / "mine"))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    assert find_encoding("cl100k_base") is not None


def test_an_empty_cache_variable_is_no_folder(fresh_process: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """That is how tiktoken's cache is turned off; it must not mean the current directory."""
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", "")
    assert [path.parent.name for path in places.places(O200K.file)] == ["data-gym-cache"]


def test_a_missing_vocabulary_is_looked_for_once(
    fresh_process: None, searches: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    """The search is cheap, and still not worth repeating at every step; nor is saying so."""
    with caplog.at_level(logging.INFO, "langgraph_guard"):
        assert [find_encoding("o200k_base") for _ in range(3)] == [None] * 3
    told = [record for record in caplog.records if record.name.startswith("langgraph_guard")]
    assert (len(searches), len(told)) == (1, 1)


def test_it_is_looked_for_again_when_asked(
    fresh_process: None, vocabulary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that arrived later needs no restart."""
    missing = find_encoding("cl100k_base")
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(vocabulary))
    still = find_encoding("cl100k_base")
    look_again()
    assert (missing, still) == (None, None)
    assert find_encoding("cl100k_base") is not None


def test_one_encoding_is_built_for_many_threads(
    fresh_process: None, vocabulary: Path, monkeypatch: pytest.MonkeyPatch, searches: list[str]
) -> None:
    """Forty workers that start at once need one table."""
    from concurrent.futures import ThreadPoolExecutor

    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(vocabulary))
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: find_encoding("cl100k_base"), range(8)))
    assert (len(set(map(id, found))), len(searches)) == (1, 1)


ROOT = Path(places.__file__).parents[2]
OFFLINE = """
import sys, time
from langchain_core.messages import HumanMessage  # urllib3, below it, tries a socket when it is imported
class Opened(BaseException): pass
def refuse(event, args):
    if event.startswith("socket."): raise Opened(event)
sys.addaudithook(refuse)
from langgraph_guard.tokens.counter import TokenCounter, count_tokens
began = time.perf_counter()
estimate = TokenCounter("gpt-4o").estimate([HumanMessage("hello world, " * 20_000)])
print(estimate.source, estimate.total, time.perf_counter() - began)
"""


def _offline(folder: Path, *command: str) -> list[str]:
    environment = {"TIKTOKEN_CACHE_DIR": str(folder), "TMPDIR": str(folder), "PATH": "/usr/bin:/bin"}
    python = [*command, sys.executable, "-c", OFFLINE]
    answer = subprocess.run(python, env=environment, capture_output=True, text=True, check=False, cwd=ROOT)
    assert answer.returncode == 0, answer.stderr
    return answer.stdout.split()


def test_the_check_for_sockets_bites() -> None:
    """A hook that hears nothing proves nothing."""
    script = OFFLINE.split("from langgraph_guard", maxsplit=1)[0] + "import socket; socket.socket()"
    answer = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert "Opened: socket.__new__" in answer.stderr


def test_with_a_vocabulary_no_socket_is_opened(vocabulary: Path) -> None:
    """Exact, in a process in which a socket is an error that nothing catches."""
    assert _offline(vocabulary)[:2] == ["tiktoken", "60008"]


def test_without_a_vocabulary_no_socket_is_opened_and_the_answer_is_quick(tmp_path: Path) -> None:
    """tiktoken by itself would wait here for two minutes, or for ever."""
    source, _, _ = _offline(tmp_path)
    assert source == "estimate"


@pytest.mark.skipif(shutil.which("unshare") is None, reason="needs Linux namespaces")
def test_without_any_network_counts_are_exact(vocabulary: Path) -> None:
    """The same where the kernel has no network to offer."""
    if subprocess.run(["unshare", "-rn", "true"], capture_output=True, check=False).returncode:
        pytest.skip("this machine gives nobody a namespace of their own")
    assert _offline(vocabulary, "unshare", "-rn")[:2] == ["tiktoken", "60008"]
