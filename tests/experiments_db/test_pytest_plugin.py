"""The pytest plugin as a user meets it: in a project of their own, which has `tools` and `agent` packages too."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import tempfile
from importlib import metadata

import pytest

from lakatos.experiments_db import open_store
from lakatos.experiments_db.report.files import write_tests

pytestmark = pytest.mark.heavy

PLUGIN = "lakatos.experiments_db.pytest_plugin"
HEAVY = ("torch", "numpy", "pydantic", "sqlalchemy", "yaml", "transformers", "transformer_lens")

SPY = """
import sys
def pytest_sessionfinish(session):
    ours = sorted(name for name in sys.modules if name.partition('.')[0] == 'lakatos')
    heavy = [name for name in {heavy!r} if name in sys.modules]
    print('\\nOURS', *ours, '\\nHEAVY', *heavy)
"""


@pytest.fixture(scope="module")
def project(toy_log, tmp_path_factory):
    """A project with packages of its own, a test, and the confirmed claims."""
    folder = tmp_path_factory.mktemp("project")
    for name in ("tools", "agent"):
        (folder / name).mkdir()
        (folder / name / "__init__.py").write_text("MINE = True\n")
    (folder / "test_own.py").write_text(
        "import agent, tools\n\ndef test_own():\n    assert agent.MINE and tools.MINE\n"
    )
    (folder / "conftest.py").write_text(SPY.format(heavy=HEAVY))
    (folder / "pytest.ini").write_text("[pytest]\naddopts = --strict-markers\n")
    write_tests(open_store(str(toy_log)), folder / "claims")
    return folder


def run(project, *args, only=(), path="", anew=False):
    """pytest in the project, with more plugins (found on `path`); returns status and output.

    It runs in a process that has torch already, unless all is to be imported anew.
    """
    env = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONPATH": f"{project}:{path}"}
    env.pop("PYTEST_XDIST_WORKER_COUNT", None)
    options = [option for name in (PLUGIN, *only) for option in ("-p", name)]
    options = ["-p", "no:cacheprovider", *options, *map(str, args)]
    if anew:
        command = [sys.executable, "-m", "pytest", *options]
        done = subprocess.run(command, cwd=project, env=env, capture_output=True, text=True, timeout=300)
        return done.returncode, done.stdout + done.stderr
    with tempfile.TemporaryFile("w+") as said:
        child = os.fork()
        if child == 0:
            _become(project, options, env, said.fileno())
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        said.seek(0)
        return status, said.read()


def _become(project, options, env, said):
    """In a forked process: pytest in the project, and nothing more."""
    status = 70
    try:
        os.dup2(said, 1)
        os.dup2(said, 2)
        sys.stdout, sys.stderr = open(1, "w", closefd=False), open(2, "w", closefd=False)  # noqa: SIM115 - they end with the child
        os.chdir(project)
        os.environ.clear()
        os.environ.update(env)
        sys.path[:0] = filter(None, env["PYTHONPATH"].split(":"))
        status = int(pytest.main(options))
        sys.stdout.flush()
    finally:
        os._exit(status)


def modules(out):
    """What was imported of lakatos, and of what is heavy."""
    found = [re.search(rf"^{kind}(.*)$", out, re.MULTILINE) for kind in ("OURS", "HEAVY")]
    return [match[1].split() for match in found if match]


def test_the_plugin_is_registered():
    assert PLUGIN in {point.value for point in metadata.entry_points(group="pytest11")}


def test_without_such_files_it_imports_itself_and_no_more(project):
    status, out = run(project, "test_own.py", anew=True)
    assert status == 0, out
    ours, heavy = modules(out)
    assert ours == ["lakatos", "lakatos.experiments_db", PLUGIN, "lakatos.tools", "lakatos.tools.lazy"]
    assert heavy == []
    assert "lakatos:" not in out


def test_collecting_gives_readable_ids_and_loads_no_torch(project):
    status, out = run(project, "--collect-only", "-q", anew=True)
    assert status == 0, out
    assert "::m2 necessary for toy (resample)" in out
    assert re.search(r"::a0\.h\d@END has no effect on toy \(denoising\)", out)
    assert "torch" not in modules(out)[1]


def test_on_new_weights_they_fail_with_a_reason_and_no_traceback(project, toy):
    status, out = run(project, "-m", "lakatos", "--lakatos-model", f"null:{toy[1]}")
    assert status == 1, out
    assert "2 failed, 1 deselected" in out
    assert "m2 necessary for toy (resample, logit_diff, >= 10% of gap)" in out
    assert "other weights than those it was confirmed on" in out
    assert "found:   the behaviour itself: confirmed at" in out
    assert "effect by template, logits (pairs):" in out
    (command,) = set(re.findall(r"again:   pytest (claims/\S+ claims/\S+ --lakatos-seed \d+ --lakatos-model .*)", out))
    assert found_means(run(project, *shlex.split(command))[1]) == found_means(out) != []
    assert re.search(r"open:    lakatos review --open [0-9a-f]{8}", out)
    assert "Traceback" not in out
    assert "Error" not in out


def found_means(out):
    """The lines of the report that say what was found."""
    return re.findall(r"found:   .*", out)


def test_undecided_is_a_skip_that_says_what_to_raise(project):
    status, out = run(project, "-k", "m2", "--lakatos-max-pairs", 16, "-rs")
    assert status == 0, out
    assert "1 skipped" in out
    assert re.search(r"undecided after 16 pairs, raise n: --lakatos-max-pairs \d+", out)
    assert "lakatos: 0 held, 0 failed, 1 undecided" in out


def test_xdist_runs_them_in_workers(project):
    status, out = run(project, "-n", 1, "--lakatos-seed", 1, only=["xdist"])
    assert status == 0, out
    assert "3 passed" in out
    assert "lakatos: 2 held, 0 failed, 0 undecided" in out


COUNTER = """
def pytest_collection_finish(session):
    from lakatos.tools import model
    load = model.load_model
    model.load_model = lambda *a, **k: (print('LOADED'), load(*a, **k))[1]
"""


def test_confirmed_claims_pass_beside_the_project_s_own_tests_with_the_model_loaded_once(project, tmp_path):
    (tmp_path / "counter.py").write_text(COUNTER)
    status, out = run(project, "-s", "--lakatos-seed", 1, only=["counter"], path=tmp_path)
    assert status == 0, out
    assert "3 passed" in out
    assert "lakatos: 2 held, 0 failed, 0 undecided" in out
    assert out.count("LOADED") == 1


def test_a_file_that_cannot_be_read_is_a_collection_error_that_says_why(tmp_path):
    (tmp_path / "bad.hypothesis.yaml").write_text("lakatos: 1\nclaim: 3\n")
    status, out = run(tmp_path)
    assert status == 2, out
    assert "bad.hypothesis.yaml: claim: Input should be a valid string" in out
    assert "Traceback" not in out


def test_a_model_that_is_not_there_fails_with_what_to_do(project):
    status, out = run(project, "-k", "m2", "--lakatos-model", "./nowhere")
    assert status == 1, out
    assert "There is no folder nowhere" in out
    assert "Traceback" not in out


def test_the_options_are_in_the_help(project):
    _, out = run(project, "--help")
    assert all(f"--lakatos-{name}" in out for name in ("model", "device", "alpha", "max-pairs", "seed"))
    _, out = run(project, "--markers")
    assert "@pytest.mark.lakatos: a confirmed hypothesis" in out
