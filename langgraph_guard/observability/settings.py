"""The arguments of `setup`, checked before anything listens."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from langchain_core.callbacks import BaseCallbackHandler

from langgraph_guard.errors import ConfigError

VARIABLES: Final = ("LANGFUSE_PUBLIC_KEY", "LANGFUSE_SECRET_KEY", "LANGFUSE_BASE_URL", "LANGFUSE_HOST")
PAYLOADS: Final = ("slim", "full", "none")


@dataclass(frozen=True, slots=True)
class Settings:
    """The arguments of `setup`."""

    langfuse: Any
    otlp: Any
    steps: Any
    metrics: Any
    payload: Any
    redact: Any

    surroundings: tuple[str | None, ...] = field(default=(), repr=False)
    """What the arguments are read with: Langfuse's keys and address, the folder that a file's name begins at."""

    @classmethod
    def here(cls, **arguments: Any) -> Settings:
        """The arguments, in the environment that there is now."""
        is_file = isinstance(arguments["steps"], str | os.PathLike)
        langfuse = [os.environ.get(name) for name in VARIABLES] if arguments["langfuse"] in ("auto", True) else []
        return cls(**arguments, surroundings=(*langfuse, str(Path(arguments["steps"]).absolute()) if is_file else None))

    def same(self, other: Settings) -> bool:
        """Two lists with the same in them are two: each is filled for whoever holds it."""
        pairs = ((getattr(self, name), getattr(other, name)) for name in self.__slots__)
        return all(one is two if isinstance(one, list) else one == two for one, two in pairs)

    def check(self) -> None:
        if self.payload not in PAYLOADS:
            raise ConfigError("payload", f"must be one of {', '.join(PAYLOADS)}")
        if self.redact is not None and not callable(self.redact):
            raise ConfigError("redact", f"is a {type(self.redact).__name__}, and must take a text and return one")
        if not (isinstance(self.langfuse, bool) or self.langfuse == "auto" or hasattr(self.langfuse, "create_score")):
            raise ConfigError("langfuse", "must be 'auto', True, False or a Langfuse client")
        if not (isinstance(self.metrics, bool) or hasattr(self.metrics, "get_meter")):
            raise ConfigError("metrics", "must be True, False or a MeterProvider")
        self._check_otlp()
        if not (
            self.steps is None
            or isinstance(self.steps, str | os.PathLike | list | logging.Logger)
            or callable(self.steps)
            or records(self.steps)
        ):
            raise ConfigError(
                "steps", "must be a file's name, a function of a step, a logger, a list, or a StepRecorder"
            )

    def _check_otlp(self) -> None:
        if isinstance(self.otlp, str):
            if not is_address(self.otlp):
                raise ConfigError("otlp", "must be an http or https address such as http://localhost:4318")
        elif self.otlp is not None and not (hasattr(self.otlp, "export") or provides(self.otlp)):
            raise ConfigError("otlp", "must be an address, a SpanExporter or a TracerProvider")


def is_address(text: str) -> bool:
    """Whether it is an http or https address with a host; and a port, where there is one, that can be."""
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:  # as of a bracket that is not closed
        return False
    written = parts.netloc.isprintable() and " " not in parts.netloc
    return parts.scheme in ("http", "https") and bool(parts.hostname) and written and port != 0


def provides(otlp: object) -> bool:
    """Whether `otlp` is a tracer provider."""
    return hasattr(otlp, "get_tracer")


def records(steps: object) -> bool:
    """Whether `steps` is a recorder by itself."""
    return isinstance(steps, BaseCallbackHandler) and hasattr(steps, "flush") and hasattr(steps, "close")
