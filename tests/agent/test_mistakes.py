"""What a stranger gets wrong in a behaviour's file: each mistake is told in words that mend it, and spends no slot."""

from __future__ import annotations

import copy
import json
import re
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from models import NAMES, PLACES, TOY, TOY_TEXT

from lakatos.agent import RunConfig, investigate, resume
from lakatos.agent.cli import main
from lakatos.experiments_db import open_store
from lakatos.tools.errors import Stop

pytestmark = pytest.mark.heavy

GOOD: dict[str, Any] = TOY.model_dump(mode="json", exclude_defaults=True) | {"name": "mine"}
TEXT: dict[str, Any] = TOY_TEXT.model_dump(mode="json", exclude_defaults=True)
HEAD = {key: GOOD[key] for key in ("name", "version", "question", "selected_because", "bos", "controls")}
NONE = object()  # the field is taken out


def changed(path: str, value: Any, base: dict[str, Any] = GOOD) -> dict[str, Any]:
    """The file with another value at "a/b/0"."""
    data = copy.deepcopy(base)
    *parents, last = path.split("/")
    place: Any = data
    for key in parents:
        place = place[int(key) if isinstance(place, list) else key]
    key = int(last) if isinstance(place, list) else last
    if value is NONE:
        del place[key]
    else:
        place[key] = value
    return data


def texts(change: Any) -> dict[str, Any]:
    """The file with every template's text changed."""
    data = copy.deepcopy(GOOD)
    for split in data["templates"].values():
        for template in split:
            template["text"] = change(template["text"])
    return data


def fillers(names: dict[str, list[str]], places: dict[str, list[str]] = PLACES) -> dict[str, Any]:
    return copy.deepcopy(GOOD) | {"fillers": {"name": names, "place": places}}


def listed(exploration: int, confirmation: int, corrupted: str = "{place} [X:{b}] and") -> dict[str, Any]:
    """A behaviour of pairs written out, so many of each split."""
    made = {
        split: [
            {
                "clean": f"{place} [X:{a}] and",
                "corrupted": corrupted.format(place=place, b=b),
                "answer": f" {a}",
                "wrong": f" {b}",
            }
            for place in PLACES[split]
            for a in NAMES[split]
            for b in NAMES[split]
            if a != b
        ][:n]
        for split, n in (("exploration", exploration), ("confirmation", confirmation))
    }
    return HEAD | {"pairs": made}


def family(text: str) -> dict[str, Any]:
    return GOOD | {"families": {"far": [{"id": "apart", "text": text}]}}


TEMPLATE = "templates/exploration/0/text"
SHORT = GOOD["templates"]["exploration"][0]["text"]
FEW = {"exploration": NAMES["exploration"], "confirmation": NAMES["confirmation"][:5]}

UNREADABLE = {
    "no YAML": ("a: [", "not valid YAML"),
    "a key that is no text": ("? [a]\n: b", "not valid YAML"),
    "a list": ("- name: mine", "holds list, not fields: begin with `name:`"),
    "an empty file": ("", "holds nothing, not fields"),
    "an unknown field": (changed("filers", {}), "filers: there is no such field: did you mean fillers"),
    "a missing field": (changed("question", NONE), "question: .*add it"),
    "a number for a text": (
        changed("fillers/place/exploration/0", 1741),
        r"exploration.0: .*1741: write it in quotes$",
    ),
    "a missing list": (changed("fillers/place/confirmation", NONE), "fillers.place.confirmation: .*add it"),
    "an empty list": (
        changed("fillers/place/exploration", []),
        "fillers.place.exploration: empty: give it at least one",
    ),
    "an unknown kind of filler": (changed("draw/place", "places"), "draw.place: no fillers of kind 'places'"),
    "an unknown variable": (changed(TEMPLATE, SHORT + " {plce}"), "templates.exploration.short: .*no variable 'plce'"),
    "an open span": (changed(TEMPLATE, "[IO:{io} and {s} [S2:{s2}]"), r"\[S2:.*opens inside \[IO"),
    "a span that never closes": (changed(TEMPLATE, "{io} [S2:{s2} to"), "never closed"),
    "a position in small letters": (
        changed(TEMPLATE, "[io:{io}] and {s2}"),
        r"name of a position is in capitals, \[IO:",
    ),
    "END as a name": (changed(TEMPLATE, "{s2} gave it [END:to]"), "END is always the last token"),
    "a filler in both splits": (changed("fillers/name/exploration/0", "Kim"), "share 'Kim'; keep each in one split"),
    "an id twice": (changed("templates/exploration/1/id", "short"), "an id occurs twice"),
    "no answer": (changed("answer", NONE), "answer: missing"),
    "answer and wrong alike": (changed("wrong", " {io}"), "answer and wrong are both .*distinct"),
    "nothing corrupted": (changed("corrupted/s2", "{s}"), "clean and corrupted are the same text"),
    "other variables when corrupted": (changed("corrupted", {"s3": "{io}"}), "both must define the same variables"),
    "both templates and pairs": (GOOD | {"pairs": listed(1, 1)["pairs"]}, "either `templates` or `pairs`"),
    "answers of a text": (changed("kind", "text"), "kind: a text behaviour has templates only"),
    "a family without a position": (family("[IO:{io}] and {s} met {s2}"), "far.apart: has no position 'S2'.*as .S2:"),
    "no such version": (changed("version", 0), "version: .*greater than or equal to 1"),
    "a name with a space": (changed("name", "my behaviour"), "name: 'my behaviour' is not a name such as"),
}

UNFIT = {
    "a position missing": (
        changed("templates/confirmation/1/text", "in the {place} [IO:{io}] and {s} met . {s2} gave it to"),
        r"position S2 is not in every prompt: it is missing from templates.confirmation.long2; mark it there as \[S2:",
    ),
    "a space at the end": (
        texts(lambda text: text + " "),
        "ends in a space .*move the space from the prompt to the an",
    ),
    "an answer of two tokens": (
        fillers(changed("exploration/0", "Mary Ann", NAMES)),
        r"' Mary Ann' is 2 tokens, .*answers \(exploration\): ' Mary Ann' is 2 tokens where all must be 1",
    ),
    "unequal lengths": (
        fillers(changed("exploration/0", "Mary Ann", NAMES)),
        r"differ in length.*fillers.name \(exploration\): 'Mary Ann' is 2 tokens where most are 1. And \d+ like this",
    ),
    "an answer without its space": (
        changed("answer", "{io}") | {"wrong": "{s}"},
        "merges with the end of the prompt .*begin the answer with a space: ' ",
    ),
    "a position elsewhere": (
        listed(90, 90, "[X:{place}] {b} and"),
        r"position X is token 2 of '\w+ \w+ and' but 1 .*put equally many tokens before it. And 179 like this",
    ),
    "a bos of two tokens": (changed("bos", "then when"), "bos: 'then when' is 2 tokens.*choose one of one token"),
    "an unknown control": (changed("controls", ["nonesuch"]), "control nonesuch: .*plain_text; or put a file nonesuch"),
    "a control with answers": (changed("controls", ["induction"]), "control induction: .*a control is plain text"),
    "a control of another name": (changed("controls", ["stranger"]), "control stranger: it is 'toy_text'.*bears its"),
    "a control that is no YAML": (changed("controls", ["broken"]), "control broken: .*broken.yaml is not valid YAML"),
    "a control with few texts": (
        changed("controls", ["brief"]),
        "control brief: brief has only 18 distinct exploration pairs, and 64 are explored: add templates or fillers",
    ),
    "too few prompts": (
        fillers(FEW),
        "only 80 distinct confirmation pairs, and a test may need 128: add templates or fillers, or .*--max-pairs 80",
    ),
    "too few prompts to explore": (
        fillers({"exploration": NAMES["exploration"][:3], "confirmation": NAMES["confirmation"]}),
        "only 24 distinct exploration pairs, and 64 are explored",
    ),
    "too few prompts in a family": (
        family("[S2:{s2}] gave it to [IO:{io}] and"),
        "only 90 distinct confirmation pairs of the family 'far', and a test may need 128",
    ),
    "a list shorter than a batch": (
        listed(70, 15),
        "only 15 distinct confirmation pairs, and a test needs 16 at least",
    ),
    "too few donors": (
        listed(200, 17),
        "confirmation: mine: found no other prompt of the template 'given'.*or ablate with zero",
    ),
    "a pair listed twice": (
        changed("pairs/confirmation/3", listed(1, 1)["pairs"]["confirmation"][0], listed(200, 84)),
        r"pairs \(confirmation\): 'bank Kim and.bank Leo and. Kim. Leo' is listed more than once",
    ),
    "a filler listed twice": (
        fillers({split: [*names, names[0]] for split, names in NAMES.items()}),
        r"fillers.name \(exploration\): 'Ann' is listed more than once; list it once",
    ),
}


@pytest.fixture(scope="module")
def place(toy, tmp_path_factory) -> Path:
    """A folder with the controls that a file may name."""
    folder = tmp_path_factory.mktemp("mine")
    shutil.copy(Path(toy[0]).with_name("toy_text.yaml"), folder)
    shutil.copy(Path(toy[0]).with_name("toy_text.yaml"), folder / "stranger.yaml")
    (folder / "broken.yaml").write_text("a: [")
    brief = TEXT | {"name": "brief", "fillers": {"name": {s: n[:3] for s, n in NAMES.items()}, "place": PLACES}}
    one = {split: [{"id": f"b{split}", "text": f"{split} {{x}} met {{y}} at the {{place}} ."}] for split in NAMES}
    (folder / "brief.yaml").write_text(yaml.safe_dump(brief | {"templates": one}))
    return folder


def lakatos(capsys, monkeypatch, *args) -> tuple[int, str, str]:
    """Run the command in this process; status, standard output and standard error with single spaces."""
    monkeypatch.setattr(sys, "argv", ["lakatos", *map(str, args)])
    with pytest.raises(SystemExit) as ended:
        main()
    out, err = capsys.readouterr()
    return int(ended.value.code or 0), " ".join(out.split()), " ".join(err.split())


@pytest.mark.parametrize(("content", "says"), UNREADABLE.values(), ids=UNREADABLE)
def test_a_file_that_cannot_be_read_says_why(capsys, monkeypatch, place, content, says):
    path = place / "mine.yaml"
    path.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
    for command in (["behaviours", "check", path], ["run", path, "--db", place / "never.db"]):
        status, out, err = lakatos(capsys, monkeypatch, *command)
        assert (status, out) == (2, "")
        assert re.search(says, err), err
        assert "mine.yaml" in err


@pytest.mark.parametrize(("content", "says"), UNFIT.values(), ids=UNFIT)
def test_check_and_run_refuse_a_file_in_the_same_words_before_a_slot_is_spent(
    capsys, monkeypatch, toy, place, tmp_path, content, says
):
    path, db = place / "mine.yaml", tmp_path / "r.db"
    path.write_text(yaml.safe_dump(content))
    status, checked, _ = lakatos(capsys, monkeypatch, "behaviours", "check", path, "--model", toy[1])
    assert status == 1
    assert re.search(says, checked), checked
    status, out, err = lakatos(capsys, monkeypatch, "run", path, "--model", toy[1], "--db", db, "--quiet")
    assert (status, out) == (2, "")
    assert re.search(says, err), err
    assert open_store(str(db)).counts().proposed == 0


def test_a_good_file_has_none_of_these(capsys, monkeypatch, toy, place):
    path = place / "mine.yaml"
    path.write_text(yaml.safe_dump(GOOD))
    status, out, _ = lakatos(capsys, monkeypatch, "behaviours", "check", path, "--model", toy[1], "--json")
    assert status == 0
    assert json.loads(out)["problems"] == []


def test_donors_are_asked_for_only_where_a_claim_needs_them(capsys, monkeypatch, toy, place, tmp_path):
    path, claims = place / "mine.yaml", tmp_path / "claims.yaml"
    path.write_text(yaml.safe_dump(listed(70, 70)))
    for claim, ends in (("m2@END carries mine", 0), ("m2 necessary for mine", 2)):
        claims.write_text(yaml.safe_dump([{"claim": claim}]))
        options = ["--proposer", "file", "--claims", claims, "--db", tmp_path / f"{len(claim)}.db", "--quiet"]
        status, _, err = lakatos(capsys, monkeypatch, "run", path, "--model", toy[1], *options)
        assert status == ends
        assert ("found no other prompt" in err) == (ends == 2)


def test_a_limit_that_is_raised_later_is_held_to_what_there_is(toy, place, tmp_path):
    path, db = place / "mine.yaml", str(tmp_path / "raised.db")
    names = {"exploration": NAMES["exploration"], "confirmation": NAMES["confirmation"][:6]}
    data = fillers(names)
    del data["templates"]["confirmation"][0]  # 90 prompts are left
    path.write_text(yaml.safe_dump(data))
    options = {"proposer": "random", "hypotheses": 2, "rounds": 2, "attribution_pairs": 2, "seed": 1}
    with pytest.raises(Stop):
        investigate(str(path), RunConfig(model=toy[1], max_pairs=79, max_tests=1, **options), db=db)
    resume(1, db=db, limits={"max_pairs": 128, "max_tests": None})
    store = open_store(db)
    caps = [entry.prediction.cap for entry in store.hypotheses()]
    assert (caps[:2], set(caps[2:])) == ([64, 64], {80})
    assert store.counts().crashed == 0
    assert store.verify() == []
