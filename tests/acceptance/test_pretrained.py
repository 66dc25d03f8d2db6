"""On the real model: a strong head is confirmed, a weak one is not; with random weights nothing is."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from lakatos.agent import RunConfig, investigate
from lakatos.experiments_db import open_store

pytestmark = pytest.mark.smollm2

CLAIMS = """
- claim: {kind: node_effect, components: [a23.h3@END]}
  rationale: the strongest attribution at the last token
- claim: {kind: node_effect, components: [a23.h3@END], direction: opposes}
  rationale: its opposite
  role: rival
- claim: {kind: node_effect, components: [a3.h3@S1]}
  rationale: an early head at a name that both prompts share
  role: "null"
"""


@pytest.fixture
def investigated(tmp_path):
    claims = tmp_path / "claims.yaml"
    claims.write_text(CLAIMS)

    def run(**changes):
        db = str(tmp_path / "real.db")
        config = RunConfig(proposer="file", claims=str(claims), attribution_pairs=1, **changes)
        investigate("ioi", config, db=db)
        return open_store(db)

    return run


@pytest.mark.accept
def test_ioi_confirms_what_is_there_and_refutes_its_opposite(investigated):
    store = investigated(seed=0)
    assert [e.state for e in store.hypotheses()] == ["confirmed", "refuted", "inconclusive"]
    strong = store.hypotheses()[0]
    assert strong.evidence.n <= 128
    assert strong.evidence.effect.low > 0.1 * strong.battery.gap
    assert {b.engine for b in store.batches(1)} == {"suffix"}
    assert store.verify() == []


@pytest.mark.accept
def test_with_random_weights_nothing_is_confirmed(investigated):
    store = investigated(model="null:smollm2-135m", allow_absent=True, max_pairs=64, seed=0)
    assert store.counts().tested == 3
    assert store.counts().confirmed == 0
    assert store.verify() == []


def test_what_the_readme_shows_of_the_engine_runs(smollm2):
    """The paths and the direct effect are parts of what the head does; keeping two places restores some of it."""
    blocks = re.findall(r"```python\n(.*?)```", Path(__file__).parents[2].joinpath("README.md").read_text(), re.S)
    shown = next(block for block in blocks if "run_interventions(" in block)
    names = {}
    exec(shown, names)  # our own README
    restored, changed = names["restored"], names["changed"]
    assert restored.shape == changed.shape == (5, 16)
    head, with_mlp, path, direct, kept = restored.mean(1)
    assert 0.05 < path < head < with_mlp
    assert 0 < direct < 1.5 * head
    assert np.isfinite(kept)
    assert (changed >= -1e-5).all()
    assert names["effects"].engine == "suffix"
