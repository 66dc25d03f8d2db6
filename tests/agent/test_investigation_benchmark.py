"""The benchmark of claims on one stream against claims on their own, in its quick form."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
QUICK = ["--model", "planted:induction", "--behaviour", "planted_recall", "--positions", "VALUE,END"]

pytestmark = pytest.mark.heavy


def asked(*args):
    command = [sys.executable, str(ROOT / "benchmarks" / "investigation.py"), *map(str, args), "--json"]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True, timeout=300).stdout)


def test_base_runs_are_shared_and_every_claim_ends_by_its_rule() -> None:
    found = asked(*QUICK, "--number", 4, "--pairs", 32, "--parts", 2)
    own, shared = found["ways"]["own"], found["ways"]["shared"]
    assert len(found["claims"]) == own["verdicts"] == 4
    assert shared["verdicts"] == 8, "all of them, before each of two parts"
    assert own["forwards"]["base runs"] == 2 * found["pairs"]["own"]
    assert shared["forwards"]["base runs"] == pytest.approx(own["forwards"]["base runs"] / 4)
    for way in (own, shared):
        assert way["seconds"].keys() == way["forwards"].keys()
        assert all(seconds >= 0 for seconds in way["seconds"].values())
        assert way["forwards"]["interventions"] > 0
        assert way["forwards"]["rest"] == pytest.approx(0, abs=1e-6), "no pass that no phase counts"
    assert [sum(found["ended"][way].values()) for way in ("own", "shared")] == [4, 4]
    assert found["attainable"] > 1


def test_sizes_of_a_log_are_told_by_table(full_log) -> None:
    found = asked("--log", full_log)
    assert found["a claim"] * found["tested"] == pytest.approx(found["bytes"])
    assert 0 < sum(found["cells"].values()) < found["bytes"]
    assert found["cells"]["batches"] > 0
