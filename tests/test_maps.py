"""Packages: the map at the head of each names the modules in its folder, and every name of its face is there."""

from __future__ import annotations

import ast
import importlib
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


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.name)
def test_every_name_of_a_face_is_there(package):
    face = importlib.import_module(".".join(("lakatos", *package.relative_to(ROOT).parts)))
    for name in getattr(face, "__all__", ()):
        assert getattr(face, name) is not None, name


def test_a_face_has_no_other_names():
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = importlib.import_module("lakatos.tools.model").nothing


def test_only_the_log_makes_rows():
    from lakatos.experiments_db.log import tables

    rows = {row.__name__ for row in (*tables.CHAINED, tables.LedgerEntry)}
    rooms = [path for top in ("agent", "experiments_db", "tools") for path in sorted((ROOT / top).rglob("*.py"))]
    makers = []
    for path in rooms:
        tree = ast.parse(path.read_text("utf-8"))
        of_the_log = {
            alias.asname or alias.name
            for node in ast.walk(tree)
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("lakatos.experiments_db.log")
            for alias in node.names
            if alias.name in rows
        }
        calls = {
            node.func.id for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
        }
        if of_the_log & calls and "log" not in path.parts[1:2]:
            makers.append(path.name)
    assert makers == []
