"""What is installed: every file is in the wheel, and a project with its own `tools` and `agent` is left alone."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.heavy

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split(
        "\n"
    )
    for name in filter(None, tracked):
        origin = ROOT / name
        if origin.is_file() and not origin.is_symlink():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes(origin.read_bytes())
    build = [sys.executable, "-m", "build", "--wheel", "--outdir", str(folder), str(source)]
    subprocess.run(build, check=True, capture_output=True)
    return next(folder.glob("*.whl"))


def test_the_wheel_holds_every_file_of_the_four_folders_and_nothing_else(wheel):
    with zipfile.ZipFile(wheel) as archive:
        packed = {n for n in archive.namelist() if ".dist-info/" not in n}
    wanted = set()
    for folder in ("agent", "tools", "prompts", "experiments_db"):
        for path in (ROOT / folder).rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts:
                wanted.add(f"lakatos/{path.relative_to(ROOT)}")
    assert packed == wanted
    assert "lakatos/tools/behaviour/builtin/ioi.yaml" in packed
    assert "lakatos/prompts/propose.md" in packed
    assert "lakatos/experiments_db/report/templates/report.html" in packed


SCRATCH = """
import agent, tools, prompts, experiments_db
assert agent.MINE == tools.MINE == prompts.MINE == experiments_db.MINE == "mine"
import lakatos.agent, lakatos.tools.component, lakatos.prompts, lakatos.experiments_db
assert "site" in lakatos.tools.component.place.__file__, lakatos.tools.component.place.__file__
from lakatos.agent.cli import main
main()
"""


def test_a_project_that_owns_tools_and_agent_can_use_the_wheel(wheel, tmp_path):
    site = tmp_path / "site"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(site), str(wheel)]
    subprocess.run(pip, check=True, capture_output=True)
    project = tmp_path / "project"
    for name in ("agent", "tools", "prompts", "experiments_db"):
        (project / name).mkdir(parents=True)
        (project / name / "__init__.py").write_text('MINE = "mine"\n')
    (project / "use.py").write_text(SCRATCH)
    (project / "test_own.py").write_text("import tools\n\ndef test_own():\n    assert tools.MINE == 'mine'\n")
    # -S leaves out this environment's editable install of lakatos; its other packages come back by path
    packages = next(p for p in sys.path if p.endswith("site-packages"))
    inside = {"PYTHONPATH": f"{project}:{site}:{packages}", "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}
    command = [sys.executable, "-S", "use.py", "behaviours", "--json"]
    done = subprocess.run(command, cwd=project, env=inside, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert '"ioi"' in done.stdout
    tests = [sys.executable, "-S", "-m", "pytest", "-q", "-p", "no:cacheprovider", str(project)]
    done = subprocess.run(tests, cwd=project, env=inside, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
