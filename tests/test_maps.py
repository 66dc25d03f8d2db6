"""The map at the head of each package names the modules in its folder, all of them and no others."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = [
    path.parent
    for top in ("agent", "experiments_db", "tools")
    for path in sorted((ROOT / top).rglob("__init__.py"))
    if any(other.stem != "__init__" for other in path.parent.glob("*.py"))
]


def parts(package):
    """Modules and packages in a folder."""
    modules = {path.stem for path in package.glob("*.py")} - {"__init__"}
    return modules | {path.parent.name for path in package.glob("*/__init__.py")}


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.name)
def test_the_map_of_a_package_is_complete_and_right(package):
    text = ast.get_docstring(ast.parse((package / "__init__.py").read_text("utf-8"))) or ""
    assert parts(package) <= set(re.findall(r"\w+", text)), "not on the map"
    assert set(re.findall(r"^(\w+)  +", text, re.MULTILINE)) <= parts(package), "on the map, and not there"
