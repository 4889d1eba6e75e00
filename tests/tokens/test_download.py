"""A fetch happens when somebody allows it, ends when it should, and keeps only what is genuine."""

from __future__ import annotations

import hashlib
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from langgraph_guard.tokens import loading
from langgraph_guard.tokens.download import download
from langgraph_guard.tokens.encodings import CL100K, VocabularyFile

DATA = b"aGVsbG8= 0\n" * 1_000
Answer = Callable[[socket.socket], None]


@contextmanager
def host(answer: Answer) -> Iterator[VocabularyFile]:
    """Something on loopback that answers each connection like that, and the file that it is asked for."""
    stop = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(0.05)

        def serve() -> None:
            while not stop.is_set():
                try:
                    taken, _ = listening.accept()
                except TimeoutError:
                    continue
                with taken:
                    try:
                        answer(taken)
                    except OSError:
                        continue

        thread = threading.Thread(target=serve)
        thread.start()
        url = f"http://127.0.0.1:{listening.getsockname()[1]}/file"
        try:
            yield VocabularyFile(url, hashlib.sha256(DATA).hexdigest(), len(DATA))
        finally:
            stop.set()
            thread.join()


def says(body: bytes, status: str = "200 OK", length: int | None = None) -> Answer:
    """An answer over HTTP; `length` is what it claims."""

    def answer(taken: socket.socket) -> None:
        taken.recv(65_536)
        size = len(body) if length is None else length
        taken.sendall(f"HTTP/1.1 {status}\r\nContent-Length: {size}\r\nConnection: close\r\n\r\n".encode() + body)

    return answer


def silent(taken: socket.socket) -> None:
    """A firewall that swallows packets: the connection stands and nothing comes."""
    taken.settimeout(5)
    while taken.recv(65_536):
        pass


def dripping(taken: socket.socket) -> None:
    """A byte now and then passes every read timeout."""
    taken.recv(65_536)
    taken.sendall(f"HTTP/1.1 200 OK\r\nContent-Length: {len(DATA)}\r\n\r\n".encode())
    for byte in DATA:
        taken.sendall(bytes([byte]))
        threading.Event().wait(0.02)


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Where tiktoken would keep its files."""
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_a_genuine_file_is_kept_for_the_next_start(folder: Path) -> None:
    """Under the name that tiktoken looks for, whole, and nothing beside it."""
    with host(says(DATA)) as file:
        assert download(file) == DATA
    assert [(path.name, path.read_bytes()) for path in folder.iterdir()] == [(file.name, DATA)]


def test_a_folder_that_cannot_be_written_to_does_not_matter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A read-only container counts exactly until it ends."""
    (tmp_path / "file").touch()
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(tmp_path / "file"))
    with host(says(DATA)) as file:
        assert download(file) == DATA


@pytest.mark.parametrize(
    "answer",
    [
        says(b"<html>Log in to the hotel's network</html>"),
        says(DATA[:-1] + b"?"),
        says(DATA * 2),
        says(DATA[:100], length=len(DATA)),
        says(b"no", "403 Forbidden"),
        says(b"", "302 Found"),
        silent,
        dripping,
        lambda taken: taken.close(),
    ],
    ids=["a portal", "altered", "too long", "cut", "refused", "redirected", "silent", "dripping", "closed"],
)
def test_anything_else_is_no_vocabulary(answer: Answer, folder: Path) -> None:
    """It ends in time, nothing is written, and counting goes on with estimates."""
    with host(answer) as file:
        assert download(file, connect=0.2, read=0.2, deadline=0.3) is None
    assert not folder.exists()


def test_a_host_that_is_not_there_is_no_vocabulary(folder: Path) -> None:
    """The port is ours, and nobody listens there."""
    with socket.socket() as ours:
        ours.bind(("127.0.0.1", 0))
        file = VocabularyFile(f"http://127.0.0.1:{ours.getsockname()[1]}/file", "", 1)
        assert download(file, connect=0.2, read=0.2) is None


@pytest.fixture
def fetched(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names that were asked of the network, in vain."""
    asked: list[str] = []
    monkeypatch.setattr(loading, "download", lambda file: asked.append(file.name))
    return asked


def test_nothing_is_fetched_unless_it_is_allowed(fresh_process: None, fetched: list[str]) -> None:
    """A guard that opens connections of its own accord is one more thing to guard."""
    assert (loading.find_encoding("o200k_base"), fetched) == (None, [])


def test_a_failed_fetch_is_not_repeated_until_asked(fresh_process: None, fetched: list[str]) -> None:
    """Each would cost its timeout again, at every step."""
    for _ in range(3):
        assert loading.find_encoding("o200k_base", allow_download=True) is None
    loading.look_again()
    loading.find_encoding("o200k_base", allow_download=True)
    assert len(fetched) == 2


def test_one_who_may_fetch_is_not_held_back_by_one_who_may_not(fresh_process: None, fetched: list[str]) -> None:
    """That nothing is on this machine says nothing about the network."""
    loading.find_encoding("o200k_base")
    loading.find_encoding("o200k_base", allow_download=True)
    assert len(fetched) == 1


def test_what_was_fetched_is_used(
    fresh_process: None, vocabulary: Path, monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    """From the host to the count."""
    data = (vocabulary / CL100K.file.name).read_bytes()
    with host(says(data)) as file:
        spec: Any = replace(CL100K, file=replace(CL100K.file, url=file.url))
        monkeypatch.setitem(loading.ENCODINGS, "cl100k_base", spec)
        encoding = loading.find_encoding("cl100k_base", allow_download=True)
    assert encoding is not None
    assert encoding.encode("hello world") == [15339, 1917]
