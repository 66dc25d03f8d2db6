"""On the real model: a strong head is confirmed, a weak one is not; with random weights nothing is."""

from __future__ import annotations

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


def test_ioi_confirms_what_is_there_and_refutes_its_opposite(investigated):
    store = investigated()
    assert [e.state for e in store.hypotheses()] == ["confirmed", "refuted", "inconclusive"]
    strong = store.hypotheses()[0]
    assert strong.evidence.n <= 128
    assert strong.evidence.effect.low > 0.1 * strong.battery.gap
    assert {b.engine for b in store.batches(1)} == {"suffix"}
    assert store.verify() == []


def test_with_random_weights_nothing_is_confirmed(investigated):
    store = investigated(model="null:smollm2-135m", allow_absent=True, max_pairs=64)
    assert store.counts().tested == 3
    assert store.counts().confirmed == 0
    assert store.verify() == []
