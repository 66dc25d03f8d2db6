"""Mechanisms as pictures, graphs and fragments: nothing overlaps, every claim has its link, text stays text."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from xml.etree import ElementTree

import mechanisms as made
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lakatos.experiments_db.mechanism import Backing, Mechanism, Node, Path
from lakatos.experiments_db.report import mechanism_dot, mechanism_html, mechanism_svg, render, standalone_svg
from lakatos.experiments_db.report.mechanism_curves import between
from lakatos.experiments_db.report.mechanism_glyphs import parsed
from lakatos.experiments_db.report.mechanism_graph import quoted
from lakatos.experiments_db.report.mechanism_layout import layout
from lakatos.experiments_db.report.mechanism_legend import legend
from lakatos.experiments_db.report.resources import static

SVG = "{http://www.w3.org/2000/svg}"
EVERY = pytest.mark.parametrize("name", made.ALL)


def overlap(a, b):
    return a[0] < b[2] - 1e-6 and b[0] < a[2] - 1e-6 and a[1] < b[3] - 1e-6 and b[1] < a[3] - 1e-6


def text_box(element):
    """About what a text covers: 0.62 of its size a character, as in the widest of the fonts."""
    size = 10 if element.get("class") in ("name", "tiny") else 11
    width = 0.62 * size * len(element.text)
    x = float(element.get("x")) - {"middle": 0.5, "end": 1.0, "start": 0.0}[element.get("text-anchor")] * width
    y = float(element.get("y"))
    return x, y - 0.8 * size, x + width, y + 0.2 * size


def drawn(found):
    return ElementTree.fromstring(standalone_svg(found))


def claims_of(found):
    """The claims of all that a picture shows: of what has a place in a model."""
    shown = [*(node for node in found.nodes if parsed(node.component)), *found.paths, *found.looks, *found.backups]
    shown += [c for c in found.circuits if not c.rival and c.kind == "sufficiency"]
    return {part.claims[0] for part in shown}


# -- where things are ------------------------------------------------------------------------------------------------


@settings(max_examples=40)
@given(st.integers(0, 10_000), st.integers(1, 25), st.booleans())
def test_nothing_overlaps_and_all_is_inside(seed, components, crowd):
    found = made.large(seed, components, crowd)
    place = layout(found)
    boxes = [glyph.box for glyph in place.glyphs]
    assert len([g for g in place.glyphs if not g.faint]) == components
    for k, box in enumerate(boxes):
        assert box[0] >= 0
        assert box[2] <= place.width
        assert box[1] >= 0
        assert box[3] <= place.height
        assert not any(overlap(box, other) for other in boxes[:k])
    for columns in zip(place.columns, place.columns[1:], strict=False):
        assert columns[0].right < columns[1].left
    for below, above in zip(place.rows[1:], place.rows, strict=False):
        assert above.bottom < below.top
        assert above.layer > below.layer


@settings(max_examples=25)
@given(st.integers(0, 10_000), st.integers(1, 25), st.booleans())
def test_labels_do_not_overlap(seed, components, crowd):
    found = made.large(seed, components, crowd)
    texts = [element for element in drawn(found).iter(f"{SVG}text") if element.get("class") not in ("letter", "tiny")]
    boxes = [text_box(element) for element in texts if element.text]
    for k, box in enumerate(boxes):
        assert not [other for other in boxes[:k] if overlap(box, other)], texts[k].text


@settings(max_examples=25)
@given(st.integers(0, 10_000), st.booleans())
def test_the_letters_of_arrows_keep_clear_of_glyphs_and_of_one_another(seed, crowd):
    found = made.large(seed, 25, crowd)
    letters = [e for e in drawn(found).iter(f"{SVG}text") if e.get("class") == "letter"]
    place = layout(found)
    taken = [glyph.box for glyph in place.glyphs]
    for box in map(text_box, letters):
        assert place.columns[0].left - 8 < box[0], "in the way of a layer's number"
        assert not [other for other in taken if overlap(box, other)]
        taken.append(box)


def test_a_label_fits_its_glyph():
    for glyph in layout(made.large(1)).glyphs:
        assert 5.5 * len(glyph.label) <= 2 * glyph.half


def test_layers_go_upwards_and_positions_across():
    place = layout(made.like_ioi())
    early, late = place.find("a2.h4@S1"), place.find("a29.h1@END")
    assert early.y > late.y
    assert early.x < late.x
    assert [column.name for column in place.columns] == [*made.POSITIONS, "every position"]
    assert place.find("m0@S2").x < place.find("m0").x


def test_the_picture_fits_a_phone_and_a_page():
    widths = [layout(made.large(seed)).width for seed in range(40)]
    assert sorted(widths)[30] <= 358  # 390, less what a page leaves at its sides: beyond, it can be scrolled
    assert max(widths) < 480
    assert max(layout(made.large(seed)).height for seed in range(40)) < 1250
    assert layout(made.like_ioi()).width <= 358


def test_a_receiver_is_its_head_at_the_position_of_the_sender():
    nodes = (Node((1,), component="a9.h6@S2", effect=0.3), Node((2,), component="a9.h6@END", effect=0.3))
    place = layout(made.mechanism(nodes=nodes))
    assert place.find("a9.h6.q", "END").place.position == "END"
    assert place.find("a9.h6.q", "S2").place.position == "S2"
    assert place.find("a9.g2.k", "END", 3, 9).place.position == "END"  # heads 6 to 8 read key-value group 2
    assert place.find("a9.g1.k", "END", 3, 9) is None
    assert place.find("logits") is None


def test_what_takes_part_without_an_effect_of_its_own_is_faint():
    found = made.mechanism(paths=(Path((4,), senders=("a1.h1",), receivers=("a2.h2.q",)),))
    assert [(str(g.place), g.faint, g.claims) for g in layout(found).glyphs] == [
        ("a2.h2.q", True, (4,)),
        ("a1.h1", True, (4,)),
    ]


def test_tokens_and_embeddings_have_their_places():
    found = made.mechanism(nodes=(Node((1,), component="e@3", effect=0.2), Node((2,), component="r4", effect=0.2)))
    place = layout(found)
    assert place.rows[-1].layer == -1
    assert "token 3" in [column.name for column in place.columns]


# -- what is drawn ---------------------------------------------------------------------------------------------------


@EVERY
def test_a_picture_is_well_formed_and_stands_by_itself(name):
    picture = standalone_svg(made.ALL[name]())
    root = ElementTree.fromstring(picture)
    assert root.get("viewBox")
    assert "prefers-color-scheme: dark" in picture
    assert "var(--" not in picture
    assert "url(" not in picture
    assert not {element.tag.removeprefix(SVG) for element in root.iter()} - {
        *("svg", "style", "title", "g", "rect", "circle", "path", "line", "text"),
    }


@EVERY
def test_every_claim_of_the_picture_is_linked_and_says_what_it_is(name):
    found = made.ALL[name]()
    picture = mechanism_svg(found, lambda number: f"#h{number}")
    if found.empty:
        assert picture == ""
        return
    root = ElementTree.fromstring(picture)
    links = {int(a.get("href").removeprefix("#h")) for a in root.iter(f"{SVG}a")}
    assert links >= claims_of(found)
    for a in root.iter(f"{SVG}a"):
        assert a.find(f"{SVG}title").text == a.get("aria-label")
        number = a.get("href").removeprefix("#h")
        assert re.search(rf"\[(\d+, )*{number}\b", a.get("aria-label"))


def test_without_an_address_nothing_is_a_link():
    assert "<a " not in mechanism_svg(made.like_ioi(), lambda _number: None)


def test_marks_say_what_is_known():
    picture = mechanism_svg(made.like_ioi())
    for told in (
        "a24.h4@END opposes: \N{MINUS SIGN}23\u202f% of the gap [3]",
        "a23.h3@END carries: 33\u202f% of the gap; necessary, its "
        "ablation costs 25\u202f% of the gap; holds on distant too [1, 9]",
        "a11.h5@S2 carries: 18\u202f% of the gap; tested on distant and not shown [19]",
        "a14.h2@END through a23.h3.q: supports, effect of the senders 20\u202f% of the gap; "
        "at least 60\u202f% of it goes",
        "a26.h7 steps in when a23.h3 is missing: 11\u202f% of the gap [30]",
        "a23.h3 attends from END to IO: 41\u202f% more of its attention than to any other position [27]",
    ):
        assert told in picture


def test_the_tint_grows_with_the_effect_and_opposing_marks_have_a_shape_too():
    nodes = tuple(Node((n,), component=f"a1.h{n}", effect=n / 10) for n in (1, 3, 9))
    root = ElementTree.fromstring(mechanism_svg(made.mechanism(nodes=nodes)))
    tints = [float(e.get("fill-opacity")) for e in root.iter() if e.get("class") == "tint"][:3]
    assert tints == sorted(tints)
    assert len(set(tints)) == 3
    picture = mechanism_svg(made.like_ioi())
    assert picture.count('class="minus"') == 2 + 1  # two nodes, and the legend
    assert picture.count('class="bar"') == 1 + 1


def test_the_legend_has_what_occurs_and_nothing_else():
    def meanings(found):
        return re.findall(r'class="meaning">([^<]*)<', "".join(legend(found, layout(found), 0)[0]))

    assert meanings(made.one_node()) == ["head, tint: share of the gap"]
    assert set(meanings(made.like_ioi())) > {"MLP", "opposes", "necessary", "steps in for", "attends to"}


def test_every_class_that_is_drawn_has_a_rule_or_none_is_needed():
    sheet, classes = static("mechanism.css"), set()
    for element in ElementTree.fromstring(mechanism_svg(made.like_ioi(), str)).iter():
        classes |= set((element.get("class") or "").split())
    missing = {name for name in classes if not re.search(rf"\.{name}\b", sheet)}
    assert missing == {"meaning"}  # as all text


# -- fragments and sections ------------------------------------------------------------------------------------------


class Read(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes, self.words, self.open = [], [], "", []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data):
        self.words += data


@EVERY
def test_a_fragment_holds_all_and_is_only_text_and_marks(name):
    found = made.ALL[name]()
    fragment = mechanism_html(found)
    read = Read(fragment)
    assert not {"script", "img", "link", "iframe", "a"} & set(read.tags)
    assert not [key for key, _ in read.attributes if key.startswith("on")]
    assert made.HOSTILE not in fragment
    words = " ".join(read.words.split())
    for sentence in found.sentences:
        assert " ".join(sentence.text.replace("\u202e", "⟨U+202E⟩").split()) in words
    for rule in re.findall(r"^([^@{}\n]+)\{", re.search(r"<style>(.*?)</style>", fragment, re.S)[1], re.M):
        assert all("mechanism" in selector for selector in rule.split(",")), f"{rule} reaches beyond the fragment"


@EVERY
def test_hostile_text_stays_text_in_pictures(name):
    picture = standalone_svg(made.ALL[name]())
    assert "<script" not in picture
    assert "\u202e" not in picture


@EVERY
def test_every_claim_of_a_section_is_linked(name):
    found = made.ALL[name]()
    source = '{% from "mechanism.html" import mechanism_parts, families_table %}{{ mechanism_parts(found, address) }}'
    from lakatos.experiments_db.report.rendering import environment

    page = environment().from_string(source).render(found=found, address=lambda number: f"/hypotheses/{number}")
    links = set(re.findall(r'href="/hypotheses/(\d+)"', page))
    wanted = {n for sentence in found.sentences for n in sentence.claims}
    wanted |= {o.claim for o in found.open[:8] if o.claim is not None} | claims_of(found)
    assert links >= {str(n) for n in wanted}
    if len(found.open) > 8:
        assert f"And {len(found.open) - 8} more." in page


def test_the_fragment_template_needs_no_more_than_a_mechanism():
    assert render("mechanism_fragment.html", found=made.one_node(), address=lambda _n: None, css="")


# -- DOT -------------------------------------------------------------------------------------------------------------

TOKEN = re.compile(r'\s*("(?:[^"\\]|\\.)*"|->|[\[\]{};,=]|[A-Za-z_]\w*|\d+(?:\.\d+)?)', re.S)


def tokens(dot):
    found, at = [], 0
    while dot[at:].strip():
        match = TOKEN.match(dot, at)
        assert match, dot[at : at + 80]
        found.append(match[1])
        at = match.end()
    return found


def statements(dot):
    """A reader of the part of DOT that is written: nodes with attributes, edges, defaults, subgraphs by rank."""
    words = tokens(dot)
    assert words[:3] == ["digraph", "mechanism", "{"]
    assert words[-1] == "}"
    nodes, edges, at, depth = {}, [], 3, 1
    while at < len(words):
        word = words[at]
        depth += {"{": 1, "}": -1}.get(word, 0)
        if word.startswith('"') and words[at + 1] == "->":
            edges.append((word, words[at + 2]))
            at += 2
        elif word.startswith('"') and words[at + 1] == "[":
            nodes[word] = words[at + 2 : words.index("]", at)]
        if words[at + 1 : at + 2] == ["["]:
            at = words.index("]", at)
        at += 1
    assert depth == 0
    return nodes, edges


@EVERY
def test_the_graph_can_be_read_and_names_no_node_that_is_not_there(name):
    nodes, edges = statements(mechanism_dot(made.ALL[name]()))
    assert {end for edge in edges for end in edge} <= set(nodes)
    assert '"logits"' in nodes


def test_the_graph_of_ioi():
    nodes, edges = statements(mechanism_dot(made.like_ioi()))
    assert ('"a14.h2@END"', '"a23.h3@END"') in edges
    assert ('"a23.h3@END"', '"logits"') in edges
    assert ('"a26.h7"', '"a23.h3@END"') in edges
    assert '"a23.h3@END\\n+33%"' in nodes['"a23.h3@END"']
    assert "peripheries" in nodes['"a23.h3@END"']
    assert "peripheries" not in nodes['"a29.h1@END"']


@given(st.text())
def test_any_text_is_one_string_of_dot(text):
    assert tokens(quoted(text)) == [quoted(text)]
    assert "\n" not in quoted(text)


def test_a_part_without_claims_is_drawn_too():
    found = Mechanism("b", "", "m", "main", (1,), 2, 2, (), (), 0, 0, nodes=(Node((), component="m1", effect=0.5),))
    assert isinstance(found.nodes[0], Backing)
    assert "m1 carries" in mechanism_svg(found, lambda number: f"#{number}")


def test_an_arrow_passes_glyphs_by_where_there_is_a_way():
    nodes = [("a0.h0@IO", 1), ("a2.h1@MID", 2), ("a4.h2@S1", 3)]  # the second is right between the others
    parts = tuple(Node((n,), component=name, effect=0.3) for name, n in nodes)
    path = Path((4,), senders=("a0.h0@IO",), receivers=("a4.h2.q",))
    place = layout(made.mechanism(nodes=parts, paths=(path,), positions=("IO", "MID", "S1", "END")))
    curve = between(place, place.find("a0.h0@IO"), place.find("a4.h2@S1"))
    left, top, right, bottom = place.find("a2.h1@MID").box
    points = [curve.at(step / 100) for step in range(101)]
    assert not [p for p in points if left < p[0] < right and top < p[1] < bottom]


def test_long_names_of_positions_are_divided_and_told_in_full():
    names = ("KEY", "OTHER_KEY", "OTHER_VALUE", "EXTRAORDINARILYLONG", "END")
    found = made.mechanism(nodes=(Node((1,), component="a1.h1@END", effect=0.2),), positions=names)
    headings = [column.heading for column in layout(found).columns]
    assert headings == [("KEY",), ("OTHER_", "KEY"), ("OTHER_", "VALUE"), ("EXTRAORD…",), ("END",)]
    assert "<title>EXTRAORDINARILYLONG</title>" in mechanism_svg(found)
    boxes = [text_box(e) for e in drawn(found).iter(f"{SVG}text") if e.text and e.get("class") != "tiny"]
    assert not [(a, b) for k, a in enumerate(boxes) for b in boxes[:k] if overlap(a, b)]
