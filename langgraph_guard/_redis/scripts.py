"""Lua scripts: resource files, one verb each, called by the hash of their source."""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import sha1
from importlib.resources import files


@dataclass(frozen=True)
class Script:
    """A script. In a batch it stands where a command's name stands: `(script, numkeys, *keys, *args)`."""

    name: str
    source: str
    sha: str = field(init=False)

    def __post_init__(self) -> None:
        # SHA-1 is what EVALSHA calls scripts by; nothing is kept secret or signed with it.
        object.__setattr__(self, "sha", sha1(self.source.encode(), usedforsecurity=False).hexdigest())


def load_script(package: str, name: str) -> Script:
    """The script in `name`.lua beside the modules of `package`, without its comments: some requests bring it along."""
    lines = (files(package) / f"{name}.lua").read_text("utf-8").splitlines(keepends=True)
    return Script(name, "".join(line for line in lines if not line.lstrip().startswith("--")))
