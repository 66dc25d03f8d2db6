"""What rows come to: false discoveries, power, readings, cost, stability; each a mean over runs with its interval."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import combinations
from typing import Any, Final

from lakatos.agent.arms import mean_of
from lakatos.agent.groundtruth.judging import why
from lakatos.agent.groundtruth.rows import Row
from lakatos.tools import baseline
from lakatos.tools.component import Component
from lakatos.tools.model.planted import Truth, truth_of

ALPHA: Final = 0.05
Number = dict[str, Any]  # mean, low, high, runs; JSON-ready


def summary(rows: Sequence[Row], first: str) -> dict[str, Any]:
    """All that is reported, JSON-ready.

    Args:
        rows: of planted models and of null twins.
        first: the arm that the others are compared with.
    """
    truths = {row.model: _truth(row.model) for row in rows}
    run = [row for row in rows if not row.refused]
    planted = [row for row in run if not truths[row.model].null]
    null = [row for row in run if truths[row.model].null]
    by_arm = _by(planted, lambda row: row.arm)
    reference = {(row.model, row.seed): row for row in by_arm.get(first, [])}
    return {
        "first": first,
        "models": sorted({row.model for row in planted}),
        "null_models": sorted({row.model for row in null}),
        "arms": [arm_measures(name, own, truths, reference) for name, own in by_arm.items()],
        "null": [_null(name, own) for name, own in _by(null, lambda row: row.arm).items()],
        "readings": _readings(planted),
        "refused": [{"model": r.model, "arm": r.arm, "seed": r.seed, "why": r.ended} for r in rows if r.refused],
        "wrong": [
            {"model": row.model, "arm": row.arm, "seed": row.seed, "claim": claim, "why": why(claim, truths[row.model])}
            for row in rows
            for claim in row.wrong
        ],
    }


def arm_measures(
    name: str, rows: Sequence[Row], truths: Mapping[str, Truth], reference: Mapping[tuple[str, int], Row]
) -> dict[str, Any]:
    """The measures of one arm on planted models.

    Args:
        reference: the row of the arm that it is compared with, by model and seed.
    """
    ours = rows[0].ours
    scored = [(row, truths[row.model]) for row in rows]
    recall = {(row.model, row.seed): _share(row.components, truth.sought) for row, truth in scored}
    pairs = [(recall[key], other) for key, other in reference.items() if key in recall]
    ranked = [
        (row, truth, len(other.components))
        for row, truth in scored
        if row.ranking and (other := reference.get((row.model, row.seed))) is not None and other.components
    ]
    right = sum(row.roles[0] for row in rows)
    true = [len(set(row.components) & truth.sought) + len(_true_edges(row, truth)) for row, truth in scored]
    return {
        "arm": name,
        "ours": ours,
        "runs": len(rows),
        "found": _number([len(row.components) for row in rows], most=math.inf),
        "fdr": _number([row.false / max(1, row.confirmed) for row in rows]) if ours else None,
        "group_fdr": _number([row.false_groups / max(1, row.groups) for row in rows]) if ours else None,
        "component_fdr": _number([_false_share(row.components, truth.allowed) for row, truth in scored]),
        "edge_fdr": _number([_false_edges(row, truth) for row, truth in scored if row.edges]),
        "recall": _number(list(recall.values())),
        "edge_recall": _number(
            [len(_true_edges(row, t)) / len(t.edges) for row, t in scored if t.edges and any(r.edges for r in rows)]
        ),
        "recall_beside": _number([own - _share(row.components, truths[row.model].sought) for own, row in pairs], -1.0),
        "recall_at_same": _number([_share(row.ranking[:n], t.sought) for row, t, n in ranked]),
        "component_fdr_at_same": _number([_false_share(row.ranking[:n], t.allowed) for row, t, n in ranked]),
        "auroc": _number([auroc(row.ranking, t.used) for row, t in scored if row.ranking]),
        "roles": {"right": right, "of": sum(row.roles[1] for row in rows)},
        "stability": stability(rows),
        "true_findings": sum(true),
        **{f"{what}_per_finding": _per(rows, what, sum(true)) for what in ("forwards", "prompts", "seconds", "tokens")},
    }


def auroc(ranking: Sequence[str], used: frozenset[str]) -> float:
    """The chance that a component of the mechanism comes before one that is not; 1 where all or none are of it."""
    found = baseline.auroc({name: float(len(ranking) - place) for place, name in enumerate(ranking)}, used)
    return 1.0 if found is None else found


def stability(rows: Sequence[Row]) -> Number | None:
    """Jaccard similarity of the components that two runs on the same model with other seeds found."""
    found = []
    for same in _by(rows, lambda row: row.model).values():
        for one, other in combinations(same, 2):
            either = {*one.components, *other.components}
            if either:
                found.append(len({*one.components} & {*other.components}) / len(either))
    return _number(found)


def broken(document: dict[str, Any]) -> list[str]:
    """The promises that do not hold, each in a sentence: false discoveries beyond alpha by more than two s.e."""
    found = []
    for row in document["arms"]:
        for measure, what in (("fdr", "false discovery rate"), ("group_fdr", "false discovery rate per group")):
            number = row[measure]
            if number and number["mean"] - 2 * number["se"] > ALPHA:
                found.append(f"{row['arm']}: the {what} is {number['mean']:.3f}, above {ALPHA}.")
    for row in document["null"]:
        if row["ours"] and row["any"]["mean"] - 2 * row["any"]["se"] > ALPHA:
            found.append(f"{row['arm']}: {row['any']['mean']:.1%} of investigations of null twins confirm an effect.")
    return found


def _null(name: str, rows: Sequence[Row]) -> dict[str, Any]:
    """How often an arm finds an effect where there is no mechanism."""
    found = [float(row.effects > 0 if row.ours else bool(row.components)) for row in rows]
    return {"arm": name, "ours": rows[0].ours, "runs": len(rows), "any": _number(found)}


def _readings(rows: Iterable[Row]) -> list[dict[str, Any]]:
    """What each component was read as, summed over runs: right, undecided, wrong; by model."""
    counted: dict[str, dict[str, Any]] = defaultdict(lambda: {"right": 0, "undecided": 0, "wrong": 0, "others": []})
    for row in rows:
        for component, read, true in row.readings if row.arm == "exhaustive" else ():
            own = counted[row.model.partition("#")[0]]
            outcome = "right" if read == true else "undecided" if read == "none" else "wrong"
            own[outcome] += 1
            if outcome != "right":
                own["others"].append({"component": component, "read": read, "true": true, "seed": row.seed})
    return [{"model": model, **own} for model, own in sorted(counted.items())]


def _true_edges(row: Row, truth: Truth) -> set[tuple[str, str]]:
    return {*row.edges} & {*truth.edges}


def _false_edges(row: Row, truth: Truth) -> float:
    """The share of false ones among the edges between heads, MLPs and logits; of the embedding nothing is known."""
    known, unclear = {*truth.edges, *truth.silent}, set(truth.unclear)
    judged = {edge for edge in row.edges if edge[0] in truth.components and not unclear & {edge[0], *_reader(edge[1])}}
    return len(judged - known) / max(1, len(judged))


def _reader(receiver: str) -> tuple[str, ...]:
    """The head or MLP that a receiver belongs to: a1.g0.k is read by head 0 of layer 1; the logits by none."""
    if receiver == "logits":
        return ()
    place = Component.parse(receiver)
    return (f"m{place.layer}",) if place.kind == "mlp" else (f"a{place.layer}.h{place.index}",)


def _share(found: Iterable[str], sought: frozenset[str]) -> float:
    return len(set(found) & sought) / len(sought)


def _false_share(found: Sequence[str], allowed: frozenset[str]) -> float:
    return len(set(found) - allowed) / max(1, len(found))


def _per(rows: Sequence[Row], what: str, true: int) -> float | None:
    return sum(getattr(row, what) for row in rows) / true if true else None


def _number(values: Sequence[float], least: float = 0.0, most: float = 1.0) -> Number | None:
    """A mean with Student's interval at 95 %, cut to what is possible, and its standard error; None of nothing."""
    if not values:
        return None
    mean, found = sum(values) / len(values), mean_of(values)
    low, high = (found.low, found.high) if found else (mean, mean)
    spread = sum((value - mean) ** 2 for value in values) / max(1, len(values) - 1)
    low, high = max(low, least), min(high, most)
    return {"mean": mean, "low": low, "high": high, "se": (spread / len(values)) ** 0.5, "runs": len(values)}


def _truth(model: str) -> Truth:
    known = truth_of(model)
    if known is None:
        raise KeyError(model)
    return known


def _by(rows: Iterable[Row], key: Callable[[Row], str]) -> dict[str, list[Row]]:
    found: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        found[key(row)].append(row)
    return dict(found)
