# ruff: noqa: RUF001 - minus signs and the like, as the page shows them
"""The report, CSV and JSON Lines: the numbers of the documents, and nothing that a log says becomes markup."""

from __future__ import annotations

import csv
import json
import os
import re
from dataclasses import replace
from html import unescape
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from lakatos.experiments_db import open_store
from lakatos.experiments_db.documents import PromptLine, entry_line, hypothesis_document, run_document
from lakatos.experiments_db.log import Share
from lakatos.experiments_db.log import tables as m
from lakatos.experiments_db.report import charts, heat_map, write_report
from lakatos.experiments_db.report import files as export
from lakatos.experiments_db.report.files import write_csv, write_jsonl
from lakatos.experiments_db.report.rendering import by_quantile
from lakatos.experiments_db.report.svg import number as said
from lakatos.tools.behaviour import PromptPair
from lakatos.tools.claim import CLAIM, atoms, claim_fields, claim_hash, in_words
from lakatos.tools.component import Component
from lakatos.tools.errors import UserError
from lakatos.tools.evidence import Battery, Data, conclude, crashed, e_process, split_values, stopped
from lakatos.tools.evidence.constants import Line
from lakatos.tools.multiplicity import slot_weights, success_threshold

SCRIPT = "<script>alert(1)</script>"
HOSTILE = (
    f"{SCRIPT} {{{{ 7*7 }}}} {{% raw %}} \u202egnorw\u2066 <img src=x onerror=alert(2)> ' \" & ]]> --> \x00\x1b[31m"
)
LONG = "w" * 3000
WEIGHTS, BEHAVIOUR = "sha256:" + "a" * 64, "sha256:" + "b" * 64
VOID = {"meta", "br", "img", "link", "input", "hr"}


# -- a log made by hand ----------------------------------------------------------------------------------------------


def add_run(store, question="Where?", **more):
    definition = {"version": 1, "question": question, "selected_because": "Known.", "considered": ["Another."]}
    return store.add(
        m.Run(
            study_id=store.study.id,
            behaviour="ioi",
            behaviour_hash=BEHAVIOUR,
            behaviour_definition=definition | more.pop("definition", {}),
            controls={},
            model=more.pop("model", "tiny"),
            weights=WEIGHTS,
            proposer="llm",
            seed="seed",
            config={"max_tests": None, "threshold": 0.1, "nested": {"one": None}},
            environment={"python": "3.11", "packages": {"numpy": "2", "none": None}},
        )
    ).id


def add_claim(store, run_id, claim, place, rationale="Because.", predicted=0.2, role="main"):
    """A registered claim with a battery of two lines: gap 10, threshold a tenth of it."""
    claim = CLAIM.validate_python({"kind": "node_effect", **claim})
    proposal = store.add(m.Proposal(run_id=run_id, round=1, place=place, proposal={"claim": {}}))
    node = claim.kind == "node_effect"
    matched = {"random": ("a0.h0", "a0.h1")} if node else {}
    draft = Battery(
        gap=10.0,
        control_gaps={} if node else {"plain_text": 2.0},
        matched=matched,
        lines=(),
        unit="prompt",
        intraclass_correlation=0.02,
        predicted_d=0.5,
        n_max=64,
        explored=64,
    )
    names = {"clean", "corrupted", *(arm.name for arm in claim.arms(matched))}
    names |= {f"control.{name}.{run}" for name in draft.control_gaps for run in ("clean", "intervened")}
    parts = claim.parts(draft, {name: np.zeros(1) for name in names})
    lines = (Line(name=p.name, delta=p.delta, scale=9.0, unit=p.unit, decides=p.decides) for p in parts)
    battery = draft.model_copy(update={"lines": tuple(lines)})

    def record(slot):
        weight = float(slot_weights(slot)[-1])
        return {
            "claim": claim_fields(claim),
            "behaviour": "ioi",
            "behaviour_hash": BEHAVIOUR,
            "model": "tiny",
            "weights": WEIGHTS,
            "role": role,
            "predicted": predicted,
            "battery": battery.model_dump(mode="json"),
            "measures": sorted(names),
            "shape": {"n_layers": 4, "n_heads": 4, "n_key_value_heads": 4, "d_mlp": 16},
            "controls": {},
            "cap": 128,
            "family": store.study.name,
            "alpha": store.study.alpha,
            "templates": 3,
            "corpus": None,
            "slot": slot,
            "weight": weight,
            "threshold": success_threshold(weight, store.study.alpha),
        }

    identity = claim_hash(claim, weights=WEIGHTS, behaviour=BEHAVIOUR, controls={})

    def row(slot):
        return m.HypothesisRow(
            slot=slot,
            record=record(slot),
            study_id=store.study.id,
            run_id=run_id,
            proposal_id=proposal.id,
            claim_hash=identity,
            kind=claim.kind,
            behaviour="ioi",
            behaviour_hash=BEHAVIOUR,
            weights=WEIGHTS,
            subject="+".join(claim.components),
            atoms=list(atoms(claim, 4)),
            rationale=rationale,
            calibration={"values": {name: [0.5, 1.0, 0.0, 2.0] for name in sorted(names)}, "templates": ["t0"] * 4},
            forwards=1.5,
            seconds=0.25,
        )

    return store.register(row, identity, "ioi").id


def add_batches(store, hypothesis_id, mean, n=4, clean="A prompt", template=""):
    """Up to n batches of 16 pairs with effects about `mean`, until the rule stops the test."""
    entry = store.hypothesis(str(hypothesis_id))
    stream = store.open_stream([entry.claim_hash])
    rng = np.random.default_rng(hypothesis_id)
    every = []
    for number in range(n):
        base = rng.normal(-4, 1, 16)
        effect = rng.normal(mean, 0.8, 16)
        restored = getattr(entry.claim, "intervention", "") == "denoising"
        intervened = base + effect if restored else base + 10 - effect
        values = {"clean": base + 10, "corrupted": base, "intervened": intervened}
        values |= {
            f"random.{k}": base + rng.normal(0, 0.1, 16) for k in range(len(entry.battery.matched.get("random", ())))
        }
        for name in entry.battery.control_gaps:
            values |= {f"control.{name}.clean": np.full(16, 2.0), f"control.{name}.intervened": np.full(16, 2.0)}
            values["direct"] = values["intervened"]
        every.append(Data(values, tuple(f"t{k % 3}{template}" for k in range(16))))
        pairs = [
            PromptPair(f"{number}-{k}", t, f"{clean} {number}.{k}", "", " yes", " no", {}, {})
            for k, t in enumerate(every[-1].templates)
        ]
        common, own = split_values(entry.claim, values)
        e = float(e_process(entry.claim, entry.battery, Data.join(every))[-1])
        share = Share(hypothesis_id, number, own, e, engine="suffix", forwards=52.8, seconds=0.5)
        store.add_draw(stream, number, store.time(), pairs, common, [share])
        if stopped(entry.claim, entry.battery, entry.prediction.threshold, every):
            break


def freeze(store, hypothesis_id):
    entry, data = store.hypothesis(str(hypothesis_id)), store.data(hypothesis_id)
    store.freeze(
        hypothesis_id, conclude(entry.claim, entry.battery, entry.prediction.threshold, data, entry.claim_hash)
    )


EXPLORED = {
    "pairs": 4,
    "attributions": [
        {"component": "a1.h2", "score": -3.25, "sd": 0.5},
        {"component": "m3@END", "score": 1.125, "sd": None},
        {"component": SCRIPT, "score": 9.0, "sd": 1.0},
    ],
    "direct": [],
    "direct_unavailable": HOSTILE,
    "attention": [{"component": "a1.h2", "to": SCRIPT, "mass": 0.875}],
    "exemplars": [
        {"choice": "random", "clean": HOSTILE, "corrupted": "", "answer": "x", "wrong": None, "clean_metric": 1}
    ],
}
PRESENCE = {"n": 64, "accuracy": 0.984375, "clean": 4.6, "corrupted": -5.3, "gap": 9.98, "present": True}


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Three runs: one full of everything, one that failed early, one that has only begun."""
    store = open_store(str(tmp_path_factory.mktemp("log") / "a.db"), secret_seed="s")
    run = add_run(store, HOSTILE, definition={"selected_because": LONG, "considered": [SCRIPT, HOSTILE]}, model=SCRIPT)
    store.event(run, "started", {})
    store.event(run, "checked", PRESENCE, 128.0, 1.0)
    store.event(run, "explored", EXPLORED, 24.0, 2.0)
    refused = store.add(m.Proposal(run_id=run, round=1, place=90, proposal={"text": HOSTILE, "claim": None}))
    store.add(m.Refusal(proposal_id=refused.id, kind="malformed", reason=HOSTILE, duplicate_of=None))
    confirmed = add_claim(store, run, {"components": ["a1.h2@END"]}, 0, HOSTILE)
    add_batches(store, confirmed, 5.0, clean=HOSTILE, template=SCRIPT)
    freeze(store, confirmed)
    opposite = add_claim(store, run, {"components": ["a1.h2@END"], "direction": "opposes"}, 1, LONG)
    add_batches(store, opposite, 5.0)
    freeze(store, opposite)
    weak = add_claim(store, run, {"components": ["m3", "r2"], "intervention": "noising"}, 2, predicted=None)
    add_batches(store, weak, 0.2)
    freeze(store, weak)
    died = add_claim(store, run, {"components": ["m1.n7"]}, 3, role="null")
    store.freeze(died, crashed(HOSTILE, 0))
    half = add_claim(store, run, {"components": ["a0"], "kind": "necessity"}, 4)
    add_batches(store, half, 1.0, n=2)
    add_claim(store, run, {"components": ["a2.h1"]}, 5)
    for purpose, response, error in (("interpret", HOSTILE, None), ("propose", None, HOSTILE)):
        store.add(
            m.LLMCall(
                run_id=run,
                round=1,
                purpose=purpose,
                attempt=1,
                model=SCRIPT,
                prompt="interpret@1",
                prompt_hash="sha256:0",
                request={},
                response=response,
                error=error,
                tokens_in=1000,
                tokens_out=234,
                seconds=1.0,
            )
        )
    store.event(run, "finished", {"confirmed": [1]})
    failed = add_run(store)
    store.event(failed, "started", {})
    store.event(failed, "failed", {"reason": HOSTILE})
    add_run(store)
    return store


@pytest.fixture(scope="module")
def page(store, tmp_path_factory):
    return write_report(store, 1, tmp_path_factory.mktemp("page") / "r.html").read_text("utf-8")


class Page(HTMLParser):
    """What a browser would make of the page: tags, their attributes, the text, the <data> values."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes, self.open, self.problems, self.words = [], [], [], [], []
        self.data, self.ids = [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, *a) for a in attrs]
        self.ids += [v for k, v in attrs if k == "id"]
        if tag == "data":
            self.data.append([dict(attrs)["value"], ""])
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, *a) for a in attrs]

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.problems.append(tag)

    def handle_data(self, data):
        self.words.append(data)
        if self.open and self.open[-1] == "data":
            self.data[-1][1] += data

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())


def same_number(shown, exact):
    """A shown number is the exact one, rounded to the digits that are shown."""
    plain = shown.replace("−", "-").replace(",", "").replace("\u202f", "").strip()
    percent = plain.endswith("%")
    plain = plain.rstrip("%")
    mantissa, _, power = plain.partition("×10")
    if power:
        power = power.translate(str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789"))
    unit = 10.0 ** (int(power or 0) - len(mantissa.partition(".")[2]))
    target = exact * 100 if percent else exact
    digits = len(mantissa.strip("+-").replace(".", "").lstrip("0")) if power else 0
    slack = 10.0 ** (int(power) - 2) if power and digits < 3 else unit  # trailing zeros of a mantissa are not shown
    return abs(float(mantissa) * 10.0 ** int(power or 0) - target) <= slack * 0.5000001


# -- the report ------------------------------------------------------------------------------------------------------


def test_hostile_text_stays_text(page):
    parsed = Page(page)
    assert not {"script", "img", "iframe", "object", "embed", "link", "base", "form"} & set(parsed.tags)
    assert parsed.problems == []
    assert parsed.open == []
    assert not [a for a in parsed.attributes if a[1].startswith("on") or "javascript:" in (a[2] or "")]
    assert SCRIPT not in page
    # it is all there, as words: question, considered, rationale, refusal twice, crash, exemplar, prose, call, prompts
    assert parsed.text.count(SCRIPT) > 12
    assert parsed.text.count(f"{SCRIPT} {{{{ 7*7 }}}} {{% raw %}}") > 12
    assert f"{SCRIPT} 49" not in parsed.text


def test_characters_that_reorder_a_page_are_shown_as_their_numbers(page):
    assert not set(page) & set("\u202e\u2066\x00\x1b")
    assert "⟨U+202E⟩gnorw⟨U+2066⟩" in page


def test_the_page_asks_for_nothing_from_outside(page):
    parsed = Page(page)
    policy = [a[2] for a in parsed.attributes if a[0] == "meta" and a[1] == "content"]
    assert "default-src 'none'; style-src 'unsafe-inline'; img-src data:" in policy
    links = [a[2] for a in parsed.attributes if a[1] in ("href", "src", "action", "xlink:href", "data")]
    assert links
    assert all(link.startswith("#") for link in links)
    style = re.search(r"<style>(.*?)</style>", page, re.S)[1]
    assert "{" in style
    assert "url(" not in style
    assert "@import" not in style


def test_every_link_leads_somewhere_and_ids_are_unique(page):
    parsed = Page(page)
    targets = {a[2][1:] for a in parsed.attributes if a[1] == "href"}
    assert targets <= set(parsed.ids)
    assert len(parsed.ids) == len(set(parsed.ids))
    assert {f"h{k}" for k in range(1, 7)} <= targets


def test_numbers_are_those_of_the_documents(page, store):
    parsed = Page(page)
    for exact, shown in parsed.data:
        assert same_number(shown, float(exact)), (exact, shown)
    exact = {value for value, _ in parsed.data}
    run = run_document(store, 1).as_dict()
    tested = [h for h in run["hypotheses"] if h["effect"] is not None]
    assert len(tested) == 3
    for h in tested:
        assert {repr(h[key]) for key in ("effect", "low", "high", "fraction", "e", "p")} <= exact
        assert {repr(v) for line in h["evidence"]["lines"] for v in (line["mean"], line["e"], line["low"])} <= exact
    assert repr(run["presence"]["accuracy"]) in exact
    assert repr(EXPLORED["attributions"][0]["score"]) in exact


def test_every_number_stands_in_its_own_column(page, store):
    table = re.search(r'<table class="hypotheses">.*?</table>', page, re.S)[0]
    rows = re.findall(r"<tr>.*?</tr>", table, re.S)[1:]
    hypotheses = run_document(store, 1).as_dict()["hypotheses"]
    assert len(rows) == len(hypotheses)
    for row, h in zip(rows, hypotheses, strict=True):
        shown = [h[key] for key in ("effect", "low", "high", "fraction", "e", "p") if h[key] is not None]
        assert re.findall(r'<data value="(.*?)"', row) == [repr(value) for value in shown]
        assert f'<td class="n">{h["slot"]}</td>' in row
        assert f'<td class="n">{h["n"]}</td>' in row
        assert f"</span>{h['state']}</span>" in row
        section = page[page.index(f'id="h{h["id"]}"') :].partition("Back to the table")[0]
        for line in (h["evidence"] or {"lines": []})["lines"]:
            wanted = [line[key] for key in ("delta", "mean", "low", "high", "standardised", "e", "p", "clip_rate")]
            cells = section[section.index(f"<bdi>{line['name']}</bdi>") :].partition("</tr>")[0]
            assert re.findall(r'<data value="(.*?)"', cells) == [repr(value) for value in wanted]


def test_a_wrong_number_would_be_noticed():
    assert same_number("9,062", 9062.28)
    assert not same_number("9,063", 9062.28)
    assert same_number("1×10⁻⁵", 1e-5)
    assert not same_number("2×10⁻⁵", 1e-5)
    assert same_number("−8.4\u202f%", -0.0842)
    assert not same_number("8.4\u202f%", -0.0842)


def test_denominators_come_before_everything_else(page, store):
    counts = run_document(store, 1).as_dict()["counts"]
    assert (counts["confirmed"], counts["refuted"], counts["inconclusive"], counts["crashed"]) == (1, 1, 2, 1)
    for name, count in counts.items():
        label = "of these crashed" if name == "crashed" else name
        assert f"<dt>{label}</dt><dd>{count}</dd>" in page
    places = [page.index(f'id="{name}"') for name in ("denominators", "selection", "map", "hypotheses", "refused")]
    assert places == sorted(places)


def test_a_seeded_secret_is_said_plainly(page, tmp_path):
    assert "Whoever knew the seed could have known" in page
    random = open_store(str(tmp_path / "b.db"))
    add_run(random)
    text = write_report(random, 1, tmp_path / "r.html").read_text("utf-8")
    assert "Whoever knew the seed" not in text
    assert "nobody could choose or know" in text


def test_verdicts_are_words_and_states_of_all_kinds_are_shown(page):
    text = Page(page).text
    for word in ("confirmed", "refuted", "inconclusive", "testing", "registered", "crashed", "contradicted by 1"):
        assert word in text
    assert "2 batches measured, no evidence yet" in text
    assert "Not tested yet" in text
    assert "The slot stays spent" in text
    assert "which is not evidence that there is nothing" in text


def test_the_map_outlines_what_was_tested(page, store):
    svg = re.search(r'<svg class="heat-map".*?</svg>', page, re.S)[0]
    assert svg.count('class="outline v-confirmed"') == 1  # one cell, two claims: the most telling verdict
    assert len(re.findall(r'<a href="#h\d"', svg)) == 7  # a claim about two components has two cells
    assert "a1.h2: attribution −3.25 (exploration)" in svg
    assert "m3: attribution +1.12 (exploration)" in svg  # the strongest position stands in for all
    opacity = {re.search(r"<title>(\w+[.\w]*)", part)[1]: part for part in svg.split('class="heat"')[1:]}
    assert 'fill-opacity="1.0"' in opacity["a1.h2"]
    assert 'fill-opacity="1.0"' not in opacity["m3"]


@pytest.mark.parametrize(
    ("place", "row", "column"),
    [
        ("a1.h2.q", 1, 2),
        ("a1.h2.pattern", 1, 2),
        ("a0.g1.k@END", 0, "at"),
        ("m1.n7", 1, "m"),
        ("e", 0, "r"),
        ("r2", 2, "r"),
    ],
)
def test_the_map_has_a_place_for_every_kind_of_component(place, row, column):
    component = Component.parse(place)
    cell = {"id": 1, "component": place, "state": "confirmed", "fraction": 0.5}
    cell |= {"kind": component.kind, "layer": component.layer, "index": component.index}
    svg = str(
        heat_map.tested([cell], [{"component": f"a{layer}.h{h}", "score": 1} for layer in (0, 1) for h in range(4)])
    )
    found = re.search(r'<rect x="(\d+)" y="(\d+)"[^>]*class="outline', svg)
    x, y = int(found[1]) - 1, int(found[2]) - 1
    labels = {label: float(at) for at, label in re.findall(r'<text x="([\d.]+)" y="15"[^>]*>(\w+)</text>', svg)}
    assert labels[str(column)] == pytest.approx(x + 13)
    assert y == 22 + 26 * row


def test_failing_prompts_are_visible(page, store):
    weak = hypothesis_document(store, store.hypothesis("3"))
    effects = [prompt.main for prompt in weak.prompts]
    failing = sum(e <= 1.0 for e in effects)
    chart = str(charts.strip(weak))
    assert failing > 10
    assert chart.count(" fails") == failing
    assert chart.count('class="prompt') == len(effects) == 64
    assert f"{failing} not above the null" in chart
    worst = min(weak.prompts, key=lambda prompt: prompt.main)
    assert worst.said["clean"] in unescape(page)


@pytest.mark.parametrize("run_id", [2, 3])
def test_a_run_that_failed_or_has_only_begun_is_a_page(store, tmp_path, run_id):
    text = write_report(store, run_id, tmp_path / "r.html").read_text("utf-8")
    parsed = Page(text)
    assert parsed.problems == parsed.open == []
    assert "No hypothesis has been registered." in text
    assert "Not measured." in text
    assert ("This run failed" in text) == (run_id == 2)
    assert ("Reason given" in text) == (run_id == 2)
    assert SCRIPT not in text
    assert ">1</th>" in text  # the runs before this one are named


def test_no_such_run(store, tmp_path):
    with pytest.raises(UserError, match="no run 99"):
        write_report(store, 99, tmp_path / "r.html")
    assert not list(tmp_path.iterdir())


def test_the_same_log_gives_the_same_page(store, page, tmp_path):
    assert write_report(store, 1, tmp_path / "again.html").read_text("utf-8") == page


# -- pieces ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("claim", "words"),
    [
        ({"intervention": "denoising", "direction": "supports"}, "from the clean into the corrupted run raises"),
        ({"intervention": "denoising", "direction": "opposes"}, "from the clean into the corrupted run lowers"),
        ({"intervention": "noising", "direction": "supports"}, "from the corrupted into the clean run lowers"),
        ({"intervention": "noising", "direction": "opposes"}, "from the corrupted into the clean run raises"),
    ],
)
def test_claims_in_words_have_the_sign_of_the_battery(claim, words):
    full = CLAIM.validate_python({"kind": "node_effect", "components": ["m5@END"], **claim})
    assert f"Patching m5 at END {words} the logit difference" in in_words(full, "ioi")


def test_necessity_in_words():
    claim = CLAIM.validate_python({"kind": "necessity", "components": ["a1", "m2"], "threshold": 0.25})
    text = in_words(claim, "ioi")
    assert "a1 at every position together with m2 at every position" in text
    assert "at least 25%" in text
    assert "more than 3 times" in text


def test_prompts_by_quantile_include_the_worst_and_the_best():
    prompts = [PromptLine(str(k), "t", {}, {}, {"effect": float(k)}) for k in (3, 0, 4, 1, 2, 8, 7, 6, 5)]
    assert [(name, int(p.uid)) for name, p in by_quantile(prompts)] == [
        ("worst", 0),
        ("25\u202f%", 2),
        ("median", 4),
        ("75\u202f%", 6),
        ("best", 8),
    ]
    assert by_quantile([]) == []
    assert [name for name, _ in by_quantile(prompts[:1])] == ["worst"]


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "–"),
        (0, "0"),
        (1.0, "1.00"),
        (0.27865, "0.279"),
        (9062.28, "9,062"),
        (999.7, "1,000"),
        (1e-5, "1×10⁻⁵"),
        (-0.0422, "−0.0422"),
        (2.345e7, "2.34×10⁷"),
        (float("inf"), "∞"),
    ],
)
def test_numbers_as_people_write_them(value, shown):
    assert said(value) == shown


@pytest.mark.parametrize("e", [0.0, 1e-300, 1e300])
def test_extreme_e_values_are_drawn(store, e):
    document = hypothesis_document(store, store.hypothesis("1"))
    *others, last = document.batches
    document = replace(document, batches=(*others, replace(last, e_after=e)))
    assert "nan" not in charts.e_path(document)
    assert "inf" not in charts.e_path(document)


# -- CSV and JSON Lines ----------------------------------------------------------------------------------------------


def test_csv_has_every_number_to_the_last_digit(store, tmp_path):
    with write_csv(store, tmp_path / "a.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    entries = [entry_line(e) for e in store.hypotheses()]
    assert len(rows) == len(entries) == 6
    for row, entry in zip(rows, entries, strict=True):
        assert list(row) == list(entry) == list(export.COLUMNS)
        for name, value in entry.items():
            cell = row[name]
            if value is None:
                assert cell == ""
            elif isinstance(value, bool):
                assert cell == str(value).lower()
            elif isinstance(value, (int, float)):
                assert type(value)(cell) == value
            elif isinstance(value, list):
                assert cell.split(" ") == value
            else:
                assert cell == value


def test_csv_runs_nothing_in_a_spreadsheet(store, tmp_path, monkeypatch):
    line = entry_line(store.hypotheses()[0])
    poisoned = {"error": '=HYPERLINK("http://x")', "behaviour": "@SUM(1)", "model": "-2+3", "proposer": "+1"}
    monkeypatch.setattr(
        "lakatos.experiments_db.report.files.entry_line", lambda entry: line | poisoned | {"effect": -1.5}
    )
    with write_csv(store, tmp_path / "a.csv").open(encoding="utf-8", newline="") as file:
        row = next(csv.DictReader(file))
    assert {name: row[name] for name in poisoned} == {name: "'" + text for name, text in poisoned.items()}
    assert row["effect"] == "-1.5"  # a number, not text


def test_jsonl_is_the_entry_lines(store, tmp_path):
    lines = write_jsonl(store, tmp_path / "a.jsonl").read_text("utf-8").splitlines()
    assert [json.loads(line) for line in lines] == [entry_line(e) for e in store.hypotheses()]


def test_an_empty_log_has_a_header_and_no_rows(tmp_path):
    empty = open_store(str(tmp_path / "empty.db"))
    assert write_csv(empty, tmp_path / "a.csv").read_text() == ",".join(export.COLUMNS) + "\n"
    assert write_jsonl(empty, tmp_path / "a.jsonl").read_text() == ""


# -- writing ---------------------------------------------------------------------------------------------------------

WRITERS = [lambda store, path: write_report(store, 1, path), write_csv, write_jsonl]


@pytest.mark.parametrize("write", WRITERS)
def test_a_missing_folder_is_said(store, tmp_path, write):
    with pytest.raises(UserError, match=r"there is no folder .*/gone\. Make it"):
        write(store, tmp_path / "gone" / "x")
    with pytest.raises(UserError, match="that is a folder"):
        write(store, tmp_path)
    (tmp_path / "file").write_text("kept")
    with pytest.raises(UserError, match="is a file, not a folder"):
        write(store, tmp_path / "file" / "x")
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("write", WRITERS)
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_full_disk_is_said(store, write):
    with pytest.raises(UserError, match="disk is full"):
        write(store, Path("/dev/full"))
    assert Path("/dev/full").is_char_device()  # and a device is not replaced by a file


@pytest.mark.parametrize("write", WRITERS)
@pytest.mark.parametrize("failure", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_an_interrupted_write_leaves_the_old_file(store, tmp_path, monkeypatch, write, failure):
    path = tmp_path / "x"
    path.write_text("old")

    def fail(*_):
        raise failure

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(UserError if isinstance(failure, OSError) else KeyboardInterrupt):
        write(store, path)
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["x"]


def test_a_link_stays_a_link(store, tmp_path):
    (tmp_path / "real").write_text("old")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    assert write_jsonl(store, tmp_path / "link") == tmp_path / "link"
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_text().startswith("{")
