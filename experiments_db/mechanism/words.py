"""A mechanism in three to ten sentences, each with the claims that it rests on.

Names of behaviours and components stay as they are written, so no sentence begins with one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

from lakatos.experiments_db.mechanism.mechanism import (
    Backing,
    Backup,
    Circuit,
    Looks,
    Mechanism,
    Node,
    Path,
    Sentence,
    Share,
)

MOST = 10  # sentences
_SHOWN = 6  # components that a sentence names


def sentences(found: Mechanism) -> Iterator[Sentence]:
    """What is confirmed, how much it explains, and what is left open; in the order of a person who explains it."""
    confirmed = [
        *_nodes(found),
        *_needed(found),
        *_paths(found.paths),
        *_roles(found.looks),
        *_backups(found),
        *_circuits(found.circuits),
        *_families(found),
    ]
    last = [*_explained(found), _open(found)]
    if found.empty:
        confirmed = [Sentence(f"Nothing is confirmed of how {found.model} does {found.behaviour}.", ())]
    optional = [*_missing(found), *_absent(found)]
    yield from [*confirmed, *optional[: MOST - len(confirmed) - len(last)], *last]


def _nodes(found: Mechanism) -> Iterator[Sentence]:
    moved = [node for node in found.nodes if node.effect is not None]
    carry = [node for node in moved if node.direction == "supports"]
    oppose = [node for node in moved if node.direction == "opposes"]
    if carry:
        yield _said(f"{_subject(carry, 'carries', 'carry')} {found.behaviour}: {_effects(carry)}.", carry)
    if oppose:
        what = "it" if carry else found.behaviour
        yield _said(f"{_subject(oppose, 'opposes', 'oppose')} {what}: {_effects(oppose)}.", oppose)


def _needed(found: Mechanism) -> Iterator[Sentence]:
    needed = [node for node in found.nodes if node.necessary]
    if not needed:
        return
    whole = _together(needed)
    lost = [node.lost for node in whole.values() if node.lost is not None]
    cost = f" costs {'at least ' if len(lost) > 1 else ''}{_percent(min(lost))} of the gap" if lost else " breaks it"
    ablation = "its ablation" if len(whole) == 1 else "each ablation"
    yield _said(
        f"The model needs {_list(whole)} for {found.behaviour}: {ablation}{cost} and hurts control behaviours far "
        "less.",
        needed,
    )


def _paths(paths: Sequence[Path]) -> Iterator[Sentence]:
    ways: dict[str, list[str]] = defaultdict(list)
    for path in paths:
        way = "straight to the logits" if path.receivers == ("logits",) else f"through {_joined(path.receivers)}"
        ways[way].append(_joined(path.senders))
    least = f"at least {_percent(min(path.share for path in paths))}" if paths else ""
    if len(paths) == 1:
        yield _said(f"The effect of {_joined(paths[0].senders)} goes {way} ({least} of it).", paths)
    elif paths:
        told = [f"from {_list(dict.fromkeys(senders))} {way}" for way, senders in ways.items()]
        yield _said(f"Effects go {_list(told)} ({least} of each).", paths)


def _roles(looks: Sequence[Looks]) -> Iterator[Sentence]:
    heads: dict[tuple[str, str], list[str]] = defaultdict(list)
    for role in looks:
        heads[role.attends_from, role.attends_to] += role.heads
    ways: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for (start, end), own in heads.items():
        ways[tuple(dict.fromkeys(own))].append(f"from {start} to {end}")
    told = [
        f"{'head' if len(own) == 1 else 'heads'} {_list(own)} {'attends' if len(own) == 1 else 'attend'} {_list(where)}"
        for own, where in ways.items()
    ]
    if told:
        text = "; ".join(told)
        yield _said(f"{text[0].upper()}{text[1:]}.", looks)


def _backups(found: Mechanism) -> Iterator[Sentence]:
    told = [_stepping_in(backup) for backup in found.backups]
    unknown = [r for r in found.readings if r.reading == "backed up"]
    unknown = [r for r in unknown if not any(r.component in backup.of for backup in found.backups)]
    if unknown:
        told.append(f"something not identified makes up for the loss of {_list(r.component for r in unknown)}")
    if told:
        text = "; ".join(told)
        yield _said(f"{text[0].upper()}{text[1:]}.", [*found.backups, *unknown])


def _stepping_in(backup: Backup) -> str:
    are, whose = ("is", "its") if len(backup.of) == 1 else ("are", "their")
    do = "does" if len(backup.components) == 1 else "do"
    return f"when {_list(backup.of)} {are} missing, {_list(backup.components)} {do} part of {whose} work"


def _circuits(circuits: Sequence[Circuit]) -> Iterator[Sentence]:
    enough = [c for c in circuits if c.kind == "sufficiency"]
    minimal = [c for c in circuits if c.kind == "minimality"]
    told, basis = [], [*enough[:1], *minimal[:1]]
    if enough:
        members = _list(enough[0].components)
        kept = f"{_percent(enough[0].faithfulness)} of the metric" if enough[0].faithfulness else "the metric"
        alone = "keeps" if len(enough[0].components) == 1 else "together keep"
        told.append(f"with everything else ablated, {members} {alone} at least {kept}")
        apart = [c for c in enough[1:] if not set(c.components) & set(enough[0].components)]
        if apart:
            others = "another circuit that shares" if len(apart) == 1 else f"{_number(len(apart))} circuits that share"
            does = "does" if len(apart) == 1 else "do"
            told.append(f"{others} nothing with it {does} so too, so that neither is singled out")
            basis += apart
    if minimal:
        told.append(f"none of {_list(minimal[0].components)} can be left out")
    if told:
        text = "; ".join(told)
        yield _said(f"{text[0].upper()}{text[1:]}.", basis)


def _families(found: Mechanism) -> Iterator[Sentence]:
    every: list[Backing] = [*found.nodes, *found.paths, *found.looks, *found.backups, *found.circuits]
    tried = [part for part in every if part.families or part.unshown]
    if not tried:
        return
    kept = [part for part in tried if part.families]
    names = dict.fromkeys(family for part in tried for family in (*part.families, *part.unshown))
    where = f"the prompt {'family' if len(names) == 1 else 'families'} {_list(f'{found.behaviour}/{n}' for n in names)}"
    if len(tried) == 1:
        told = "the one finding that was tested holds too" if kept else "the one finding that was tested is not shown"
    elif len(kept) == len(tried):
        told = f"{'both' if len(tried) == 2 else f'all {_number(len(tried))}'} findings that were tested hold too"
    else:
        told = f"{_number(len(kept)) if kept else 'none'} of {_number(len(tried))} findings that were tested "
        told += "holds too" if len(kept) == 1 else "hold too" if kept else "is shown"
    yield _said(f"On {where} {told}.", kept or tried)


def _explained(found: Mechanism) -> Iterator[Sentence]:
    told = found.explained
    if told is None:
        return
    left = min(1.0, 1 - told.restored.mean)
    rest = "nothing of the gap is left to explain" if left < 0.005 else f"{_percent(left)} is not explained"
    pairs = _count(told.pairs, "fresh prompt pair")
    yield Sentence(
        f"On {pairs} all confirmed nodes together restore {_interval(told.restored)} of the gap, and ablating them "
        f"costs {_interval(told.lost)}; {rest}.",
        told.claims,
    )


def _missing(found: Mechanism) -> Iterator[Sentence]:
    """What nothing is confirmed of, where something is."""
    parts = {"single component": found.nodes, "path": found.paths, "attention role": found.looks}
    none = [name for name, own in (parts | {"circuit": found.circuits}).items() if not own]
    if none and not found.empty:
        yield Sentence(f"No {_list(none, 'or')} is confirmed so far.", ())


def _absent(found: Mechanism) -> Iterator[Sentence]:
    if found.absent:
        names = [_joined(part.components) for part in found.absent]
        have = "has no effect" if len(names) == 1 else "have no effect"
        margin = _percent(max(part.margin for part in found.absent))
        yield _said(f"It is confirmed that {_list(names)} {have} of {margin} of the gap or more.", found.absent)


def _open(found: Mechanism) -> Sentence:
    undecided = tuple(sorted({o.claim for o in found.open if o.claim is not None}))
    left = sum(o.why == "not tested" for o in found.open)
    if found.tested == 0:
        told = "No claim has been tested yet"
    elif found.tested == 1:
        told = f"One claim was tested, and is {'confirmed' if found.confirmed else 'not confirmed'}"
    else:
        told = f"Of {_count(found.tested, 'claim')} tested, {_are(found.confirmed)} confirmed"
        told += f" and {_are(len(undecided))} undecided" if undecided else ""
    if left:
        told += f"; {_count(left, 'candidate')} {'was' if left == 1 else 'were'} not tested for want of budget"
    return Sentence(f"{told}.", undecided)


def _said(text: str, parts: Sequence[Backing]) -> Sentence:
    return Sentence(text, tuple(sorted({claim for part in parts for claim in part.claims})))


def _subject(nodes: Sequence[Node], one: str, several: str) -> str:
    n = len({node.component.partition("@")[0] for node in nodes})
    return f"One component {one}" if n == 1 else f"{_number(n).capitalize()} components {several}"


def _effects(nodes: Sequence[Node]) -> str:
    whole = _together(sorted(nodes, key=lambda node: -abs(node.effect or 0.0)))
    unit = " of the gap"  # is said once
    return _list(
        f"{name} ({node.effect or 0.0:+.0%}{'' if k else unit})" for k, (name, node) in enumerate(whole.items())
    )


def _together(nodes: Iterable[Node]) -> dict[str, Node]:
    """Nodes by name; those that a claim is about together, once."""
    return {_joined(node.together or (node.component,)): node for node in nodes}


def _joined(names: Iterable[str]) -> str:
    return " + ".join(names)


def _list(names: Iterable[str], last: str = "and") -> str:
    """a, b and c; beyond so many, how many more there are."""
    told = list(names)
    if len(told) > _SHOWN:
        told = [*told[: _SHOWN - 1], f"{len(told) - _SHOWN + 1} more"]
        last = "and"
    return told[0] if len(told) == 1 else f"{', '.join(told[:-1])} {last} {told[-1]}"


def _count(n: int, noun: str) -> str:
    return f"{_number(n)} {noun}{'' if n == 1 else 's'}"


def _are(n: int) -> str:
    return f"{_number(n) if n else 'none'} {'is' if n <= 1 else 'are'}"


def _number(n: int) -> str:
    words = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
    return words[n] if n < len(words) else f"{n}"


def _percent(value: float | None) -> str:
    return "" if value is None else f"{value:.0%}"


def _interval(share: Share) -> str:
    return f"{share.mean:.0%} ({share.low:.0%} to {share.high:.0%})"
