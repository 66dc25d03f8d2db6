"""`lakatos mechanism`: in a terminal, as a picture, as a graph, as JSON; and what is wrong with a question."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from xml.etree import ElementTree

import mechanisms as made
import pytest
from commands import lakatos_here
from rich.console import Console
from tampering import unguarded

from lakatos.agent.cli.mechanism_tables import print_mechanism, print_sentences
from lakatos.experiments_db import open_store
from lakatos.experiments_db.mechanism import run_mechanism


def printed(found, width=80, show=print_mechanism):
    console = Console(file=io.StringIO(), width=width)
    show(console, found)
    return console.file.getvalue()


def run(log, *options):
    return lakatos_here("mechanism", *options, "--db", log)


@pytest.mark.parametrize("name", made.ALL)
@pytest.mark.parametrize("width", [40, 80, 200])
def test_it_fits_the_terminal(name, width):
    found = made.ALL[name]()
    text = printed(found, width)
    longest = max(len(word) for word in text.split())
    assert all(len(line) <= max(width, longest + 2) for line in text.splitlines())
    assert "\u202e" not in text
    told = " ".join(text.split())
    for sentence in found.sentences:
        assert " ".join(str(sentence).replace("\u202e", "<U+202E>").split()) in told


@pytest.mark.parametrize("seed", range(20))
def test_25_components_fit_80_columns_and_all_are_there(seed):
    for crowd in (False, True):
        found = made.large(seed, 25, crowd)
        text = printed(found)
        assert all(len(line) <= 80 for line in text.splitlines())
        grid = text.split("\n\n")[1]
        assert grid.count("%") == 25
        assert grid.count("*") == sum(node.necessary for node in found.nodes) + ("* necessary" in grid)


def test_layers_go_upwards_and_positions_across():
    grid = printed(made.like_ioi()).split("\n\n")[1].splitlines()
    assert grid[0].split() == ["layer", "S1", "S2", "END", "every"]
    layers = [int(line[:4]) for line in grid[1:-1] if line[:4].strip()]
    assert layers == sorted(layers, reverse=True)
    row = next(line for line in grid if line.startswith("  23"))
    assert row.index("h3 +33%*") == grid[0].index("END")


def test_where_columns_do_not_fit_each_component_is_told_with_its_position():
    text = printed(made.like_ioi(), 40)
    assert "  29  h0@END -16%  h1@END +22%" in text
    assert "h3@END +33%*" in text


def test_at_most_eight_are_open_and_the_rest_is_counted():
    text = printed(made.like_ioi())
    assert text.count("\n- ") == 8
    assert "and 4 more: lakatos mechanism 1 --json" in text


def test_nothing_confirmed_is_said():
    assert "Nothing is confirmed of how smollm2-135m does ioi." in printed(made.nothing())


def test_sentences_alone():
    text = printed(made.one_node(), show=print_sentences)
    assert text.startswith("One component carries ioi: a23.h3@END (+33% of the gap). [1]\n")


def test_the_newest_run_that_finished_is_shown(stored_log):
    status, out, err = run(stored_log)
    assert (status, err) == (0, "")
    assert out.splitlines()[0].endswith(": run 2")
    status, out, _ = run(stored_log, 1)
    assert status == 0
    assert "The model needs m2 for toy" in out
    assert "m2*" in out


def test_of_a_study(stored_log):
    model = open_store(str(stored_log), create=False).run(1).model
    status, out, _ = run(stored_log, "--behaviour", "toy", "--model", model)
    assert status == 0
    assert out.splitlines()[0] == f"toy on {model}: runs 1, 2"


def test_as_json(stored_log):
    status, out, _ = run(stored_log, 1, "--json")
    assert status == 0
    wanted = run_mechanism(open_store(str(stored_log), create=False), 1).document()
    assert json.loads(out) == json.loads(json.dumps(wanted))


def test_as_files_and_to_standard_output(stored_log, tmp_path):
    picture, graph = tmp_path / "m.svg", tmp_path / "m.dot"
    status, out, _ = run(stored_log, 1, "--svg", picture, "--dot", graph)
    assert status == 0
    assert out.split() == [str(picture), str(graph)]
    assert ElementTree.fromstring(picture.read_text("utf-8")).tag.endswith("svg")
    assert graph.read_text("utf-8").startswith("digraph")
    assert run(stored_log, 1, "--dot", "-")[1] == graph.read_text("utf-8")
    assert run(stored_log, 1, "--svg", "-")[1] == picture.read_text("utf-8")
    assert run(stored_log, 1, "--svg", "-", "--dot", graph)[1] == picture.read_text("utf-8")


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ((9,), "There is no run 9"),
        ((1, "--behaviour", "toy"), "not both"),
        (("--model", "gpt2"), "name the behaviour too"),
        (("--behaviour", "toy", "--model", "gpt2"), "see `lakatos runs`"),
        (("--svg", "-", "--dot", "-"), "Only one of"),
        (("--svg", "/nowhere/at/all.svg"), "there is no folder"),
        (("--study", "other"), "no study 'other'"),
    ],
)
def test_what_is_wrong_is_said_with_how_to_mend_it(stored_log, options, told):
    status, out, err = run(stored_log, *options)
    assert status == 2
    assert told in err
    assert out == ""


def test_without_a_finished_run_it_says_so(stored_log):
    open_store(str(stored_log))  # brings its schema up to date
    with unguarded(stored_log) as raw:
        raw.execute("DELETE FROM events WHERE kind = 'finished'")
    status, _, err = run(stored_log)
    assert status == 2
    assert "No run of this study has finished" in err


def test_a_finished_run_tells_its_mechanism(finished):
    db, out = finished
    found = run_mechanism(open_store(str(db), create=False), 1)
    told = " ".join(out.split())
    for sentence in found.sentences:
        assert " ".join(str(sentence).split()) in told
    assert out.index(found.sentences[-1].text[:20]) < out.index("Report:")


def test_no_torch_is_loaded(stored_log):
    program = (
        "import sys; from lakatos.agent.cli import app; "
        f"app(['mechanism', '--db', {str(stored_log)!r}], standalone_mode=False); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, timeout=60)
