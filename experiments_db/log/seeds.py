"""Seeds: every stream of prompts follows from one, and nobody who lacks the study's secret knows it beforehand."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence

from lakatos.tools.records import content_hash


def derive_seed(secret: str, key: str, purpose: str) -> int:
    """HMAC-SHA256(secret, key and purpose) as an integer of 256 bits."""
    digest = hmac.new(bytes.fromhex(secret), f"{key}|{purpose}".encode(), hashlib.sha256)
    return int.from_bytes(digest.digest(), "big")


def stream_key(members: Sequence[str], nonce: str) -> str:
    """What the seeds of a stream are derived from, with the study's secret: its claims in their order, and a nonce."""
    return f"{content_hash(list(members))}|{nonce}"


def seed_key(claim_hash: str, nonce: str) -> str:
    """What the seeds of a claim that had prompts of its own were derived from, in logs of before streams."""
    return f"{claim_hash}|{nonce}"


def exploration_seed(run_seed: str, purpose: str) -> int:
    """The seed of one exploration stream of a run. Nothing that it gives is ever confirmed on."""
    digest = hashlib.sha256(f"{run_seed}|exploration|{purpose}".encode()).digest()
    return int.from_bytes(digest[:8], "big")


def rerun_key(members: Sequence[str]) -> str:
    """What the prompts of a re-run are derived from, with its seed.

    Args:
        members: the hashes of the claims on these prompts, in order; of one, it is the key.
    """
    return members[0] if len(members) == 1 else content_hash(list(members))


def rerun_seed(seed: int, key: str, purpose: str) -> int:
    """The seed of one stream of a re-run: claims that do not share it have others, whatever runs with the same seed."""
    return int.from_bytes(hashlib.sha256(f"{seed}|{key}|rerun|{purpose}".encode()).digest()[:16], "big")


def seeded_nonce(secret: str, what: str) -> str:
    """The nonce of a stream ("stream 3") in a seeded study, or of a slot in older logs ("slot 3").

    It has 64 hex digits; one that was drawn has 32.
    """
    return f"{derive_seed(secret, what, 'nonce'):064x}"
