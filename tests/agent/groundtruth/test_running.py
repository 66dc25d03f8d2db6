"""The benchmark as a whole on a small design: run, gone on with after kill -9, refused with other settings."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from commands import Forked, lakatos_here

from lakatos.agent.groundtruth import designed
from lakatos.agent.groundtruth.jobs import Job
from lakatos.agent.groundtruth.running import NULL_MODELS, _every, rows_in, run_design
from lakatos.experiments_db.store import every_study
from lakatos.tools.errors import UserError
from lakatos.tools.model.planted import MECHANISMS, truth_of

SMALL = [
    "bench",
    "groundtruth",
    "--models",
    "duplicate",
    "--twins",
    "duplicate~permuted",
    "--null-instances",
    "1",
    "--seeds",
    "1",
    "--hypotheses",
    "4",
    "--arms",
    "attribution,saboteur",
    "--baselines",
    "p-none,eap",
    "--workers",
    "1",
]


def numbers(folder):
    """All that rows say but what it took: a batch that a kill cut off is measured twice."""
    return [
        row.model_copy(update={"seconds": 0.0, "forwards": 0.0})
        for row in sorted(rows_in(folder), key=lambda row: row.key)
    ]


@pytest.mark.heavy
def test_a_killed_benchmark_goes_on_and_comes_to_the_same(tmp_path):
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    status, out, err = lakatos_here(*SMALL, "--out", whole, "--json")
    assert status == 0, err
    document = json.loads(out)
    assert {arm["arm"] for arm in document["arms"]} == {"attribution", "saboteur", "p-none", "eap"}
    assert {own["arm"] for own in document["null"]} == {"attribution", "p-none", "eap"}
    assert next(arm for arm in document["arms"] if arm["arm"] == "saboteur")["fdr"]["mean"] == 0.0
    assert (whole / "groundtruth.md").read_text().startswith("# Ground truth")
    for log in (whole / "logs").glob("*.db"):
        assert all(store.verify() == [] for store in every_study(str(log)))

    process = Forked(*SMALL, "--out", cut)
    while process.poll() is None and not list(cut.glob("rows/*.jsonl")):
        time.sleep(0.05)
    time.sleep(1.0)
    process.kill()
    process.wait(30)
    assert len(rows_in(cut)) < len(rows_in(whole)), "it was killed too late to show anything"
    assert lakatos_here(*SMALL, "--out", cut)[0] == 0
    assert numbers(cut) == numbers(whole)

    before = {path: path.read_bytes() for path in cut.glob("rows/*")}
    assert lakatos_here(*SMALL, "--out", cut)[0] == 0
    assert {path: path.read_bytes() for path in cut.glob("rows/*")} == before, "nothing is run twice"
    status, _, err = lakatos_here(*SMALL, "--out", cut, "--max-forwards", "900")
    assert status == 2
    assert "with other settings: give another --out" in err


def failing(job):
    """A job that leaves its name, and fails; as another process can be told to do it."""
    Path(job.folder, job.model).touch()
    raise UserError("stopped")
    yield


def test_no_job_is_begun_after_one_has_failed(tmp_path):
    jobs = [Job(f"job{k}", (), (), (), {}, str(tmp_path)) for k in range(6)]
    with pytest.raises(UserError, match="stopped"):
        _every(failing, jobs, 2, lambda: None)
    assert len(list(tmp_path.iterdir())) <= 3, "one more at most, by the other process"


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"Cannot write to .*file: .* Give another --out"):
        run_design(designed(True, {}), tmp_path / "file", workers=1)


class TestDesigns:
    def test_the_whole_one_has_more_than_twenty_models_and_a_hundred_null_investigations(self):
        design = designed(False, {})
        jobs = design.jobs("folder")
        assert len(design.models) >= 20
        null = [job for job in jobs if "~" in job.model or "none" in job.model]
        assert sum(len(job.arms) for job in null) >= 100
        assert len({job.model for job in jobs}) == len(jobs)
        assert {truth_of(f"planted:{name}").null for name in NULL_MODELS} == {True}
        assert not any(truth.null for name, truth in MECHANISMS.items() if name not in NULL_MODELS)

    def test_what_is_asked_for_is_recorded(self):
        design = designed(True, {"models": ("backup",), "seeds": 3})
        assert (design.models, design.seeds, design.quick) == (("backup",), 3, True)
        assert design.given == {"models": "backup", "seeds": "3"}

    def test_a_language_model_brings_its_arms(self):
        design = designed(True, {}, llm_model="m", llm_base_url="http://localhost:1/v1")
        assert {"llm", "form"} <= set(design.arms)
        assert design.jobs("folder")[0].common["llm_base_url"] == "http://localhost:1/v1"

    @pytest.mark.parametrize(
        ("given", "says"),
        [
            ({"models": ("inductoin",)}, "no planted model 'inductoin'; there are induction"),
            ({"twins": ("typo~redrawn",)}, "no planted model 'typo~redrawn'"),
            ({"arms": ("vibes",)}, "There is no arm 'vibes'"),
            ({"baselines": ("vibes",)}, "no baseline 'vibes'; there are attribution-patching"),
        ],
    )
    def test_what_there_is_not_is_named(self, given, says):
        with pytest.raises(UserError, match=says):
            designed(True, given).jobs("folder")
