"""A mechanism in three to ten sentences, each with the claims that it rests on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from lakatos.experiments_db.mechanism.mechanism import Backing, Circuit, Mechanism, Node, Path, Sentence, Share

_SHOWN = 6  # components that a sentence names


def sentences(found: Mechanism) -> Iterator[Sentence]:
    """What is confirmed, how much it explains, and what is left open; in the order of a person who explains it."""
    yield from _nodes(found)
    yield from _needed(found)
    yield from _paths(found)
    yield from _roles(found)
    yield from _backups(found)
    yield from _circuits(found)
    yield from _families(found)
    yield from _explained(found)
    yield _open(found)


def _nodes(found: Mechanism) -> Iterator[Sentence]:
    moved = [node for node in found.nodes if node.effect is not None]
    carry = [node for node in moved if node.direction == "supports"]
    oppose = [node for node in moved if node.direction == "opposes"]
    if found.empty:
        yield Sentence(
            f"Nothing is confirmed of how {found.model} does {found.behaviour}: {_count(found.tested, 'claim')} "
            "tested.",
            (),
        )
        return
    if carry:
        yield _said(f"{_subject(carry, 'carries', 'carry')} {found.behaviour}: {_effects(carry)}.", carry)
    if oppose:
        yield _said(f"{_subject(oppose, 'opposes', 'oppose')} it: {_effects(oppose)}.", oppose)


def _needed(found: Mechanism) -> Iterator[Sentence]:
    needed = [node for node in found.nodes if node.necessary]
    if needed:
        yield _said(
            f"{found.behaviour} needs {_list(node.component for node in needed)}: without "
            f"{'it' if len(needed) == 1 else 'any of them'} it fails, and control behaviours hardly suffer.",
            needed,
        )


def _paths(found: Mechanism) -> Iterator[Sentence]:
    if found.paths:
        told = [f"{_joined(p.senders)} through {_receivers(p)}" for p in found.paths]
        shares = sorted({path.share for path in found.paths})
        least = f"at least {_percent(shares[0])} of each sender's effect goes this way"
        yield _said(f"What is read by what: {_list(told)} ({least}).", found.paths)


def _roles(found: Mechanism) -> Iterator[Sentence]:
    if found.looks:
        told = [f"{_joined(r.heads)} from {r.attends_from} to {r.attends_to}" for r in found.looks]
        yield _said(f"Where heads look: {_list(told)}.", found.looks)


def _backups(found: Mechanism) -> Iterator[Sentence]:
    if found.backups:
        told = [f"{_joined(b.components)} for {_joined(b.of)}" for b in found.backups]
        yield _said(f"When one is missing another steps in: {_list(told)}.", found.backups)
    unknown = [r for r in found.readings if r.reading == "backed up"]
    unknown = [r for r in unknown if not any(r.component in backup.of for backup in found.backups)]
    if unknown:
        yield _said(f"Something makes up for the loss of {_list(r.component for r in unknown)}.", unknown)


def _circuits(found: Mechanism) -> Iterator[Sentence]:
    enough = [c for c in found.circuits if c.kind == "sufficiency"]
    for circuit in enough[:1]:
        told = f"{_count(len(circuit.components), 'component')} alone keep at least {_percent(circuit.faithfulness)}"
        yield _said(f"{told} of it, everything else being replaced.", [circuit])
    apart = [c for c in enough[1:] if not set(c.components) & set(enough[0].components)]
    if apart:
        told = "So do others that share nothing with them: that a circuit is enough identifies neither."
        yield _said(told, [enough[0], *apart])
    minimal = [c for c in found.circuits if c.kind == "minimality"]
    for circuit in minimal[:1]:
        yield _said(f"None of {_joined_all(circuit)} can be left out of that circuit.", [circuit])


def _families(found: Mechanism) -> Iterator[Sentence]:
    every: list[Backing] = [*found.nodes, *found.paths, *found.looks, *found.backups, *found.circuits]
    kept, lost = [part for part in every if part.families], [part for part in every if part.unshown]
    names = list(dict.fromkeys(family for part in [*kept, *lost] for family in (*part.families, *part.unshown)))
    if not names:
        return
    where = _list(f"{found.behaviour}/{name}" for name in names)
    said = f"On prompts of another kind ({where}) {len(kept)} of {len({id(p) for p in [*kept, *lost]})} of these hold"
    yield _said(f"{said} too.", kept or lost)


def _explained(found: Mechanism) -> Iterator[Sentence]:
    told = found.explained
    if told is None:
        return
    left = f"{_percent(1 - told.restored.mean)} is not explained" if told.restored.mean < 0.995 else "nothing is left"
    yield Sentence(
        f"On {told.pairs} fresh prompt pairs the confirmed nodes together restore {_interval(told.restored)} of the "
        f"gap, and their ablation costs {_interval(told.lost)}; {left}.",
        told.claims,
    )


def _open(found: Mechanism) -> Sentence:
    left = sum(o.why == "not tested" for o in found.open)
    tried = [o.claim for o in found.open if o.claim is not None]
    told = f"{_count(len(tried), 'claim')} {'is' if len(tried) == 1 else 'are'} undecided"
    if left:
        told += f", and {_count(left, 'candidate')} {'was' if left == 1 else 'were'} not tested for want of budget"
    return Sentence(f"{told}.", tuple(tried))


def _said(text: str, parts: Sequence[Backing]) -> Sentence:
    return Sentence(text[0].upper() + text[1:], tuple(sorted({claim for part in parts for claim in part.claims})))


def _subject(nodes: Sequence[Node], one: str, several: str) -> str:
    return f"One component {one}" if len(nodes) == 1 else f"{_number(len(nodes)).capitalize()} components {several}"


def _effects(nodes: Sequence[Node]) -> str:
    ranked = sorted(nodes, key=lambda node: -abs(node.effect or 0.0))
    return _list(f"{node.component} ({_signed(node.effect)})" for node in ranked)


def _receivers(path: Path) -> str:
    return "the logits directly" if path.receivers == ("logits",) else _joined(path.receivers)


def _joined_all(circuit: Circuit) -> str:
    return _list(circuit.components)


def _joined(names: Iterable[str]) -> str:
    return " + ".join(names)


def _list(names: Iterable[str]) -> str:
    """a, b and c; beyond so many, how many more there are."""
    told = list(names)
    if len(told) > _SHOWN:
        told = [*told[: _SHOWN - 1], f"{len(told) - _SHOWN + 1} more"]
    return told[0] if len(told) == 1 else f"{', '.join(told[:-1])} and {told[-1]}"


def _count(n: int, noun: str) -> str:
    return f"{_number(n)} {noun}{'' if n == 1 else 's'}"


def _number(n: int) -> str:
    words = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
    return words[n] if n < len(words) else f"{n}"


def _signed(value: float | None) -> str:
    return "" if value is None else f"{value:+.0%} of the gap"


def _percent(value: float | None) -> str:
    return "" if value is None else f"{value:.0%}"


def _interval(share: Share) -> str:
    return f"{share.mean:.0%} [{share.low:.0%}, {share.high:.0%}]"
