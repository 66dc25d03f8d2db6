"""Whether claims get the verdicts on a shared stream that they get on their own: `investigation.py --agreement`.

Claims about planted models, whose truth is known: true ones, false ones, and true ones so close to their threshold that
chance decides whether the pairs suffice. A repetition registers them in a study with a secret and exploration pairs of
its own, and tests them in four copies of its log: twice alone, twice on one stream. Nonces are drawn anew in each copy,
and so are the prompts. Verdicts are the official ones.
"""

from __future__ import annotations

import math
import tempfile
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from investigation_parts import copied, registered

from lakatos.agent.config import RunConfig
from lakatos.agent.run.context import Context
from lakatos.agent.run.testing import finish_tests
from lakatos.tools.model import LoadedModel, load_model

BEHAVIOUR = "planted_recall"
PAIRS = 64
TRUE, FALSE, CLOSE = "true", "false", "true, and close"
_NODE = "{} carries planted_recall (denoising, logit_diff, >= {}% of gap)"
_NECESSARY = "{} necessary for planted_recall (resample, logit_diff, >= {}% of gap)"
_NONE = "{} has no effect on planted_recall (denoising, logit_diff, < 10% of gap)"
CLAIMS: dict[str, dict[str, tuple[str, ...]]] = {
    "planted:induction": {
        TRUE: (_NODE.format("a0.h0@VALUE", 10), _NECESSARY.format("a1.h0", 10), _NONE.format("a2.h1@END")),
        FALSE: (_NODE.format("a2.h2@END", 10), _NECESSARY.format("m0", 10), _NONE.format("a1.h0@END")),
        CLOSE: (_NODE.format("a1.h0@END", 67), _NECESSARY.format("a0.h0", 24), _NODE.format("a0.h0@VALUE", 27)),
    },
    "planted:backup": {
        TRUE: (_NECESSARY.format("a0.h0", 10), _NODE.format("a1.h0@END", 10)),
        FALSE: (_NECESSARY.format("a1.h0", 10), _NECESSARY.format("a2.h0", 10)),
        CLOSE: (_NODE.format("a1.h0@END", 33), _NECESSARY.format("a0.h0", 23), _NODE.format("a0.h0@VALUE", 27)),
    },
}
WAYS = ("own", "own'", "shared", "shared'")
PAIRED = (("own", "own'"), ("shared", "shared'"), ("own", "shared"))


def agreements(repeats: int) -> tuple[dict[str, Any], str]:
    """How often two tests of the same claims agree, by the ways in which they tested; and the same as text."""
    equal: Counter[tuple[str, str]] = Counter()
    of: Counter[str] = Counter()
    confirmed: dict[str, Counter[str]] = defaultdict(Counter)
    for name, sorts in CLAIMS.items():
        model = load_model(name)
        for _ in range(repeats):
            found = _by_way(model, [claim for claims in sorts.values() for claim in claims])
            for sort, claims in sorts.items():
                for group in (sort, "all"):
                    of[group] += len(claims)
                    for one, other in PAIRED:
                        equal[group, f"{one}/{other}"] += sum(found[one][c] == found[other][c] for c in claims)
                for claim in claims:
                    confirmed[f"{claim}, {name}"].update(w for w in WAYS if found[w][claim] == "confirmed")
    pairs = [f"{one}/{other}" for one, other in PAIRED]
    lines = [f"{'equal verdicts':<22}" + "".join(f" {pair:>24}" for pair in pairs)]
    for sort in (TRUE, FALSE, CLOSE, "all"):
        lines.append(f"{sort:<22}" + "".join(f" {_share(equal[sort, pair], of[sort]):>24}" for pair in pairs))
    lines.append(f"confirmed, of {repeats}: {', '.join(WAYS)}")
    lines += [f"  {' '.join(f'{told[way]:>3}' for way in WAYS)}  {claim}" for claim, told in confirmed.items()]
    told = {sort: {pair: [equal[sort, pair], of[sort]] for pair in pairs} for sort in of}
    return {"repeats": repeats, "equal": told, "confirmed": {c: dict(t) for c, t in confirmed.items()}}, "\n".join(
        lines
    )


def _share(n: int, of: int) -> str:
    share = n / of
    return f"{n}/{of} = {share:.3f} ({math.sqrt(share * (1 - share) / of):.3f})"


def _by_way(model: LoadedModel, claims: Sequence[str]) -> dict[str, dict[str, str]]:
    """The verdicts of each way: claims are registered once, and each way tests them in a copy of that log."""
    proposals = [{"claim": claim, "rationale": "planted", "role": "main"} for claim in claims]
    config = RunConfig(model=model.name, proposer="attribution", max_pairs=PAIRS, hypotheses=len(claims))
    with tempfile.TemporaryDirectory(prefix="lakatos-agreement-") as folder:
        first = registered(Path(folder) / "registered.db", model, BEHAVIOUR, config, proposals)
        assert [entry.text for entry in first.entries()] == list(claims)
        return {way: _verdicts(first, Path(folder) / f"{k}.db", k >= 2) for k, way in enumerate(WAYS)}


def _verdicts(run: Context, path: Path, shared: bool) -> dict[str, str]:
    """Each claim's official verdict, by its text, on prompts of its own or on prompts that all share."""
    run = copied(run, path)
    ids = [entry.id for entry in run.entries()]
    for group in [ids] if shared else [[key] for key in ids]:
        finish_tests(run, only=group)
    return {entry.text: entry.state for entry in run.entries()}
