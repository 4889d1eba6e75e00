"""Names of things to import, as a contract's file writes them: `package.module:name`. Imported when used, not before.

Whoever may write the file may name any function of the process: it is configuration, to be trusted like code.
"""

from __future__ import annotations

import re
from functools import reduce
from importlib import import_module
from typing import Any, Final

from langgraph_guard.errors import ConfigError

_FORM: Final = re.compile(r"(?!\d)\w+(\.(?!\d)\w+)*:(?!\d)\w+(\.(?!\d)\w+)*")
LONGEST: Final = 200


def check_import(field: str, written: object) -> None:
    """A text must have the form of an import; anything else is the thing itself."""
    if isinstance(written, str) and (len(written) > LONGEST or not _FORM.fullmatch(written)):
        raise ConfigError(field, "must be written package.module:name")


def resolve(field: str, written: object) -> Any:
    """The thing that `written` names, or is."""
    if not isinstance(written, str):
        return written
    check_import(field, written)
    module, _, path = written.partition(":")
    try:
        return reduce(getattr, path.split("."), import_module(module))
    except Exception as error:  # a module may raise anything when it is imported
        raise ConfigError(field, f"cannot import {written}: {type(error).__name__}") from error
