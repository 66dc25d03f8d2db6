"""A mechanism as a graph in Graphviz's DOT language: `dot -Tpdf` makes a figure of it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator

from lakatos.experiments_db.mechanism import Mechanism, Node
from lakatos.experiments_db.report.mechanism_layout import parsed
from lakatos.tools.component import Component

_BLUE, _ORANGE, _GREEN, _GREY = "#2b5fae", "#b0541a", "#2d7a52", "#5b6069"


def mechanism_dot(found: Mechanism) -> str:
    """The graph: components by layer from the bottom up, paths as arrows, backups dashed, attention dotted."""
    names, layers = _components(found), defaultdict(list)
    for name in names:
        place = parsed(name)
        layers[place.layer if place else -1].append(name)
    known = {node.component: node for node in found.nodes}
    lines = [
        "digraph mechanism {",
        "  rankdir=BT;",
        f"  label={quoted(f'{found.behaviour} on {found.model}')};",
        '  node [fontname="Helvetica", fontsize=11, margin="0.05,0.03"];',
        '  edge [fontname="Helvetica", fontsize=9];',
        f'  "logits" [shape=box, color="{_GREY}"];',
    ]
    for layer in sorted(layers):
        lines += [f"  {quoted(name)} [{_look(name, known.get(name))}];" for name in layers[layer]]
        lines.append(f"  {{ rank=same; {' '.join(quoted(name) + ';' for name in layers[layer])} }}")
    return "\n".join([*lines, *_edges(found, names), "}"]) + "\n"


def quoted(text: str) -> str:
    """A DOT string: quotes and backslashes escaped, so that no text ends it or means anything."""
    plain = "".join(c if c.isprintable() else " " for c in text)
    return '"' + plain.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _components(found: Mechanism) -> list[str]:
    """All that is a node of the graph, by what stands for it."""
    circuits = [name for circuit in found.circuits if not circuit.rival for name in circuit.components]
    others = [
        *(name for path in found.paths for name in (*path.senders, *path.receivers)),
        *(name for looks in found.looks for name in looks.heads),
        *(name for backup in found.backups for name in (*backup.components, *backup.of)),
        *circuits,
    ]
    names = [node.component for node in found.nodes]
    for name in others:
        if name != "logits" and _standing(name, names) is None:
            names.append(name)
    return names


def _standing(name: str, names: Iterable[str]) -> str | None:
    """The node for a component: itself, or the head at a position where a query of that head, or the head, is meant."""
    known = list(names)
    if name in known:
        return name
    place = parsed(name)
    if place is None:
        return None
    return next((other for other in known if (at := parsed(other)) and _holds(at, place)), None)


def _holds(node: Component, part: Component) -> bool:
    return (
        node.atom() == part.atom() and part.position in (None, node.position) and "neuron" not in (node.kind, part.kind)
    )


def _look(name: str, node: Node | None) -> str:
    place = parsed(name)
    shape = "ellipse" if place is not None and place.known.shown_as == "head" else "box"
    if node is None:
        return f'shape={shape}, style=dashed, color="{_GREY}", fontcolor="{_GREY}"'
    colour = _ORANGE if node.direction == "opposes" else _BLUE
    label = name if node.effect is None else f"{name}\n{node.effect:+.0%}"
    told = f'label={_lines(label)}, shape={shape}, color="{colour}"'
    return told + (", peripheries=2" if node.necessary else "")


def _lines(label: str) -> str:
    return '"' + "\\n".join(quoted(part)[1:-1] for part in label.split("\n")) + '"'


def _edges(found: Mechanism, names: Iterable[str]) -> Iterator[str]:
    def at(name: str) -> str:
        return quoted("logits" if name == "logits" else _standing(name, names) or name)

    for path in found.paths:
        colour, head = (_ORANGE, "tee") if path.direction == "opposes" else (_BLUE, "normal")
        for sender in path.senders:
            for receiver in path.receivers:
                label = quoted(receiver.partition("@")[0].rpartition(".")[2] if "." in receiver else "")
                yield f'  {at(sender)} -> {at(receiver)} [color="{colour}", arrowhead={head}, label={label}];'
    for backup in found.backups:
        for one in backup.components:
            for other in backup.of:
                look = f'color="{_GREEN}", style=dashed, label="backs up", constraint=false'
                yield f"  {at(one)} -> {at(other)} [{look}];"
    for looks in found.looks:
        for head in looks.heads:
            label = quoted(f"{looks.attends_from} to {looks.attends_to}")
            yield f'  {at(head)} -> {at(head)} [color="{_GREY}", style=dotted, label={label}];'
