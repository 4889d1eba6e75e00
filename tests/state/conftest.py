"""Hypothesis for this folder: no deadline, because a busy machine is not a broken law."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("laws", deadline=None)
settings.load_profile("laws")
