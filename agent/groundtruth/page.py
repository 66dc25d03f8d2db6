"""The benchmark's result as a document: what `docs/groundtruth.md` says."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

from lakatos.agent.groundtruth.cells import BESIDE, COST, FOUND, columns, each, interval, more, percent, table
from lakatos.agent.groundtruth.correlations import correlated
from lakatos.agent.groundtruth.measures import ALPHA, summary
from lakatos.agent.groundtruth.rows import Row
from lakatos.agent.groundtruth.running import Design
from lakatos.agent.groundtruth.techniques import Asked
from lakatos.tools.environment import packages
from lakatos.tools.model.planted import planted_model, truth_of

_FIRST: Final = "drill"
_WHY: Final = {
    "planted:two_paths": "a donor's answer is the wrong one of its prompt now and then: rare and large, so that the "
    "margin of no effect needs more pairs",
    "planted:trained-induction": "each does 6 to 9 % of the work, close to the margin of 10 %",
    "planted:trained-addition": "effects differ much between sums; and m0 costs plain text nearly a third of what it "
    "costs the sum, which is the line between specific and not",
}
_WHAT: Final = {
    "drill": "ours: from heads to a mechanism, stage after stage",
    "attribution": "ours: the strongest of one attribution table",
    "random": "ours: components at random",
    "exhaustive": "ours: necessity and patching of every head and MLP, in random order",
    "oracle": "ours, told the truth: only true claims",
    "saboteur": "ours, told the truth: only false claims",
}


def document(design: Design, rows: Sequence[Row], asked: Sequence[Asked]) -> dict[str, Any]:
    """All that is reported, JSON-ready: what the arms came to, and what every technique says of every model."""
    origins = {name: known.origin for name in design.models if (known := planted_model(name)) is not None}
    return {
        "design": design.model_dump(mode="json"),
        "versions": packages(),
        "origins": origins,
        "techniques": correlated(asked),
        **summary(rows, _FIRST if _FIRST in design.arms else (design.arms or design.baselines)[0]),
    }


def markdown(found: dict[str, Any]) -> str:
    """The document as a page; the figure lies beside it."""
    return "\n".join(line for part in _parts(found) for line in (*part, "")).rstrip() + "\n"


def _parts(found: dict[str, Any]) -> Iterator[list[str]]:
    yield ["# Ground truth: does it find what is there, and only that?"]
    yield _lead(found)
    yield ["![What each arm finds of what is there, and how much of what it finds is not](groundtruth.svg)"]
    yield ["Written by:", "", "    " + _command(found["design"])]
    yield from _models(found)
    yield from _arms(found)
    yield from _beside(found)
    yield from _null(found)
    yield from _readings(found)
    yield from _techniques(found["techniques"])
    yield from _cost(found)
    yield from _wrong(found)
    yield from _refused(found)


def _lead(found: dict[str, Any]) -> list[str]:
    by_name = {arm["arm"]: arm for arm in found["arms"]}
    lines = []
    if ours := [arm for arm in found["arms"] if arm["ours"]]:
        worst = max(ours, key=lambda arm: arm["fdr"]["mean"])
        lines.append(
            f"On {len(found['models'])} instances of {len(found['design']['models'])} models whose mechanism is known, "
            f"no arm of lakatos has a realised false discovery rate above {percent(worst['fdr'])} "
            f"(`{worst['arm']}`; promised are {100 * ALPHA:.0f} %)."
        )
    first = by_name.get(found["first"])
    if first is not None:
        lines.append(
            f"`{found['first']}` finds {percent(first['recall'])} of the components that take part and "
            f"{percent(first['edge_recall'])} of the edges."
        )
    ranked = [arm for arm in found["arms"] if arm["recall_at_same"]]
    better = [arm for arm in ranked if first and arm["recall_at_same"]["mean"] > first["recall"]["mean"]]
    if better:
        told = each(better, "recall_at_same")
        lines.append(f"At the same number of discoveries these baselines find more components: {told}.")
    elif ranked and first:
        lines.append("At the same number of discoveries no baseline finds more components.")
    edges = [
        arm for arm in found["arms"] if not arm["ours"] and more(arm["edge_recall"], first and first["edge_recall"])
    ]
    if edges:
        lines.append(f"More edges are found by {each(edges, 'edge_recall')}; false are {each(edges, 'edge_fdr')}.")
    if sound := [arm for arm in ranked if not arm["component_fdr"]["mean"]]:
        lines.append(f"Baselines that name no false component where there is a mechanism: {each(sound, 'recall')}.")
    for row in found["null"]:
        if row["ours"]:
            many, share = row["runs"], percent(row["any"])
            lines.append(f"Of {many} investigations of null twins by `{row['arm']}` {share} confirm an effect.")
        elif row["arm"] == "p-none":
            many, share = row["runs"], percent(row["any"])
            lines.append(f"Patching everything with p < .05 and no correction finds something in {share} of {many}.")
    return lines


def _models(found: dict[str, Any]) -> Iterator[list[str]]:
    yield ["## Models"]
    rows = []
    for name, origin in found["origins"].items():
        truth = truth_of(f"planted:{name}#1")  # of other instances parts stand elsewhere, and are as many
        if truth is not None:
            rows.append(
                (
                    f"`planted:{name}`",
                    origin,
                    f"`{truth.behaviour}`",
                    len(truth.components),
                    len(truth.used),
                    len(truth.edges),
                )
            )
    yield table(("model", "the mechanism is", "question", "heads and MLPs", "used", "edges to find"), rows)
    yield [
        "`lakatos.tools.model.planted.truth_of(NAME)` has the truth of each as data. Tests hold that of models that "
        "are set by hand or compiled against exhaustive patching; that of trained models is what such patching "
        "showed once.",
        "",
        f"Null twins: {', '.join(f'`{name}`' for name in found['design']['twins']) or 'none'}.",
    ]


def _arms(found: dict[str, Any]) -> Iterator[list[str]]:
    yield ["## What is found"]
    yield columns(found["arms"], FOUND)
    yield [
        "Means over runs with Student's 95 % interval. False claims: of the confirmed, those that are false of the "
        "model; baselines make no claims. False groups: of groups of overlapping confirmed claims, those without a "
        "true one. False components: heads and MLPs that take no part. Recall is of all that take part but those "
        "that everything else needs as well. Stability: Jaccard similarity of the components that two runs with "
        "other seeds find on one instance.",
        "",
        *(f"* `{name}`: {what}." for name, what in _WHAT.items() if any(arm["arm"] == name for arm in found["arms"])),
    ]


def _beside(found: dict[str, Any]) -> Iterator[list[str]]:
    first = found["first"]
    others = [arm for arm in found["arms"] if arm["recall_at_same"]]
    others += [arm for arm in found["arms"] if arm["ours"] and arm["arm"] != first]
    if not others:
        return
    yield [f"## Beside `{first}`, on the same models with the same seeds"]
    yield columns(others, BESIDE)
    yield [
        f"A baseline takes as many components of its ranking as `{first}` confirmed on that instance with that seed. "
        f"The last column is the recall by an arm's own rule, less that of `{first}`: paired, with Student's 95 % "
        f"interval."
    ]


def _null(found: dict[str, Any]) -> Iterator[list[str]]:
    if not found["null"]:
        return
    yield ["## Null twins"]
    yield table(
        ("arm", "investigations", "found an effect"),
        [(f"`{row['arm']}`", row["runs"], interval(row["any"])) for row in found["null"]],
    )
    yield [
        "An effect: a confirmed claim of any kind but no effect; of a baseline, any component that its rule selects. "
        "There is no mechanism in them to be found."
    ]


def _readings(found: dict[str, Any]) -> Iterator[list[str]]:
    if not found["readings"]:
        return
    yield ["## Readings"]
    counted = [sum(own[name] for own in found["readings"]) for name in ("right", "undecided", "wrong")]
    right, undecided, wrong = counted
    yield [
        f"The battery of necessity about every single head and MLP (`exhaustive`): {right} right, {undecided} "
        f"undecided, {wrong} wrong. Right are {100 * right / sum(counted):.0f} % of all, and "
        f"{100 * right / max(1, right + wrong):.0f} % of what was decided."
    ]
    yield table(
        ("model", "right", "undecided", "wrong", "not right", "why"),
        [
            (
                f"`{own['model']}`",
                *(own[name] for name in ("right", "undecided", "wrong")),
                _named(own["others"]),
                _WHY.get(own["model"], "-") if own["others"] else "-",
            )
            for own in found["readings"]
        ],
    )
    roles = [
        f"`{arm['arm']}` {arm['roles']['right']} of {arm['roles']['of']} right"
        for arm in found["arms"]
        if arm["roles"]["of"]
    ]
    yield [
        "Undecided: 128 pairs did not decide, or the battery has no reading for what is true (a head that opposes).",
        "",
        f"Attention roles that were confirmed: {', '.join(roles) or 'none'}.",
    ]


def _named(others: Iterable[dict[str, Any]]) -> str:
    counted: dict[str, int] = {}
    for own in others:
        what = f"{own['component']}: {own['true']}, read as {own['read'] if own['read'] != 'none' else 'nothing'}"
        counted[what] = counted.get(what, 0) + 1
    return "; ".join(f"{what} ({number})" for what, number in sorted(counted.items())) or "-"


def _techniques(found: dict[str, Any]) -> Iterator[list[str]]:
    yield ["## Which techniques fail together"]
    yield [
        f"Every technique says of every head and MLP of {len(found['models'])} models whether it takes part: an "
        "effect of 10 % of the gap, either way; of a head that is read, half of its attention. A miss is a component "
        "that takes part and is not seen, a false alarm one that does not and is. techniques.json has the same with "
        "all pairs.",
    ]
    rates = [
        (name, *(interval(found["rates"][name][sort]) for sort in ("misses", "false_alarms")))
        for name in found["techniques"]
    ]
    yield table(("technique", "misses", "false alarms"), rates)
    yield [
        "The phi coefficient of two techniques' misses: 1 where both always miss the same components, 0 where the "
        "misses of one say nothing of the other's. Two techniques near 1 are one line of evidence. A dash: one of "
        "them never or always misses. The interval is a bootstrap over models."
    ]
    pairs = sorted(found["pairs"], key=lambda pair: -(pair["misses"] or {"phi": -2})["phi"])
    yield table(
        ("first", "second", "phi of misses", "phi of false alarms"),
        [(pair["first"], pair["second"], *(_phi(pair[sort]) for sort in ("misses", "false_alarms"))) for pair in pairs],
    )


def _phi(number: dict[str, float] | None) -> str:
    return "-" if number is None else f"{number['phi']:.2f} [{number['low']:.2f}, {number['high']:.2f}]"


def _cost(found: dict[str, Any]) -> Iterator[list[str]]:
    yield ["## Cost of a true finding"]
    yield columns(found["arms"], COST)
    yield [
        "A true finding: a component or an edge of the mechanism. A baseline reads exploration pairs, and tests "
        "nothing."
    ]


def _wrong(found: dict[str, Any]) -> Iterator[list[str]]:
    if not found["wrong"]:
        return
    yield ["## Every false claim that was confirmed"]
    yield table(
        ("model", "arm", "seed", "claim", "why"),
        [(f"`{own['model']}`", f"`{own['arm']}`", own["seed"], own["claim"], own["why"]) for own in found["wrong"]],
    )


def _refused(found: dict[str, Any]) -> Iterator[list[str]]:
    if not found["refused"]:
        return
    yield ["## Baselines that could not be run"]
    by_arm: dict[str, list[dict[str, Any]]] = {}
    for own in found["refused"]:
        by_arm.setdefault(own["arm"], []).append(own)
    rows = [
        (f"`{arm}`", len(refused), ", ".join(sorted({f"`{own['model']}`" for own in refused})), refused[0]["why"][:200])
        for arm, refused in by_arm.items()
    ]
    yield table(("baseline", "runs", "models", "why, of the first"), rows)
    yield ["They are left out of the tables above."]


def _command(design: dict[str, Any]) -> str:
    given = [f"--{name.replace('_', '-')} {value}" for name, value in design["given"].items()]
    return " ".join(["lakatos bench groundtruth", *(["--quick"] if design["quick"] else []), *given])
