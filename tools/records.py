"""Records: canonical JSON and the hash of it, and the base of every record that is stored."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from pydantic import BaseModel, ConfigDict

_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def canonical_json(value: Any) -> str:
    """Sorted keys, no white space, UTF-8, floats as Python's shortest repr; NaN and infinity raise ValueError."""
    return _ENCODER.encode(value)


def content_hash(value: Any) -> str:
    """`sha256:` and the hex digest of the canonical JSON."""
    return "sha256:" + hashlib.sha256(canonical_json(value).encode()).hexdigest()


class Frozen(BaseModel):
    """A record that cannot be changed, has no other fields, and holds finite numbers only."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
