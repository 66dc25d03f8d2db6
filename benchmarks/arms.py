"""Ways to propose, compared where the answer is not known and where it is; writes docs/arms.md.

    python benchmarks/arms.py --llm-base-url http://127.0.0.1:8080/v1 --llm-model smollm2 --docs docs

Five behaviours of SmolLM2, and the planted models, on which two arms know the answer: an oracle claims what is true, a
saboteur what is false. Every arm has the same hypotheses, forward passes and seeds. Without --llm-model only arms that
need no language model take part. It goes on where it was stopped.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import yaml
from rich.console import Console

from lakatos.agent import RunConfig
from lakatos.agent.arms import Compared, Outcome, compared, parse_arms, run_arms
from lakatos.agent.watch import RichWatcher
from lakatos.experiments_db.store import every_study
from lakatos.tools.model.planted import MECHANISMS
from lakatos.tools.model.planted import RECALL as BEHAVIOUR

BEHAVIOURS = ("ioi", "induction", "greater_than", "capital_of", "subject_verb")
PLANTED = ("induction", "backup")
PLAIN = ("drill", "attribution", "random")
ASKING = ("llm", "form", "one-shot", "no-tools", "llm-rows:6", "llm-without:effects", "llm-without:draft")
HEAD = """# Which way to propose is worth its cost?

{lead}

Written by

    {command}

Every arm investigates in a study of its own, with {hypotheses} hypotheses, {forwards:,.0f} forward passes, at most
{pairs} pairs a test and the seeds 1 to {seeds}. **confirmed** claims, **groups** of overlapping ones, the share of the
gap that confirmed nodes restore together (**explained**), the mean |predicted - measured| effect (**missed by**),
tokens, forward passes and seconds: means over seeds. Differences from `{first}` are paired by seed, with Student's
95 % interval. The language model of the `llm` arms is {model}.
"""
_LEAST = " The other arms took part in some questions only: see there."
COLUMNS = ("arm", "runs", "confirmed", "groups", "explained", "missed by", "registered", "passes", "tokens", "seconds")


def main() -> None:
    """Run what is missing, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--llm-base-url")
    parser.add_argument("--llm-model")
    parser.add_argument("--context", type=int, default=8192, help="What the server was started with.")
    parser.add_argument("--turns", type=int, default=8)
    parser.add_argument("--behaviours", nargs="*", default=list(BEHAVIOURS))
    parser.add_argument("--arms", default=",".join(PLAIN), help="Those that ask no language model.")
    parser.add_argument("--asking", default=",".join(ASKING), help="Those that ask the language model.")
    parser.add_argument(
        "--asked",
        nargs="*",
        default=[*BEHAVIOURS, *(f"planted:{name}" for name in PLANTED)],
        help="Where these take part.",
    )
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--hypotheses", type=int, default=8)
    parser.add_argument("--max-pairs", type=int, default=64)
    parser.add_argument("--max-forwards", type=float, default=20_000)
    parser.add_argument("--db", default="arms.db")
    parser.add_argument("--docs", default="docs", help="The folder for arms.md.")
    options = parser.parse_args()
    common = {"hypotheses": options.hypotheses, "max_pairs": options.max_pairs, "max_forwards": options.max_forwards}
    if options.llm_model:
        common |= {"llm_model": options.llm_model, "llm_base_url": options.llm_base_url, "llm_timeout": 900}
        common |= {"llm_max_output": 300, "llm_context": options.context - 1200, "llm_turns": options.turns}
        common |= {"llm_rows": 12, "llm_temperature": 0.7}
    watcher = RichWatcher(Console(stderr=True))
    parts = []
    for behaviour in options.behaviours:
        arms, config = parse_arms(_names(behaviour, options)), RunConfig(**common)
        found = run_arms(behaviour, arms, options.seeds, config, db=options.db, watcher=watcher)
        parts.append((f"{behaviour} (SmolLM2-135M)", compared(found)))
    for planted in PLANTED:
        config = RunConfig(model=f"planted:{planted}", **common)
        known = [f"file:{path}" for path in _known(planted, Path(f"{options.db}.claims"))]
        own = ",".join([_names(f"planted:{planted}", options), *known])
        found = run_arms(BEHAVIOUR, parse_arms(own), options.seeds, config, db=options.db, watcher=watcher)
        parts.append((f"planted: {planted}", compared([_named(o) for o in found])))
    watcher.close()
    target = Path(options.docs) / "arms.md"
    target.write_text(_written(parts, options), "utf-8")
    print(target)


def _names(question: str, options: argparse.Namespace) -> str:
    """The arms that take part in a question."""
    asks = options.llm_model and question in options.asked
    return f"{options.arms},{options.asking}" if asks else str(options.arms)


def _known(planted: str, folder: Path) -> list[Path]:
    """Claims that are true of a planted model, and claims that are false, as files."""
    truth = MECHANISMS[planted]
    true = [*dict.fromkeys([*truth.necessary, *(c for c, _ in truth.backed_up)])]
    lines = {
        "oracle": [f"{c} necessary for planted_recall" for c in truth.necessary]
        + [f"{c} carries planted_recall" for c in true],
        "saboteur": [f"{c} carries planted_recall" for c in ("a2.h1", "a2.h2", "m2", "a1.h2")]
        + [f"{c} has no effect on planted_recall" for c in true],
    }
    paths = []
    (folder / planted).mkdir(parents=True, exist_ok=True)
    for name, claims in lines.items():
        path = folder / planted / f"{name}.yaml"
        path.write_text(yaml.safe_dump([{"claim": claim, "rationale": "the answer is known"} for claim in claims]))
        paths.append(path)
    return paths


def _named(outcome: Outcome) -> Outcome:
    """An arm of claims from a file by the name of the file."""
    return outcome._replace(arm=Path(outcome.arm).stem if outcome.arm.startswith("file:") else outcome.arm)


def _written(parts: Sequence[tuple[str, list[Compared]]], options: argparse.Namespace) -> str:
    first = parts[0][1][0].arm
    head = HEAD.format(
        lead=_lead(parts),
        command=_command(options),
        hypotheses=options.hypotheses,
        forwards=options.max_forwards,
        pairs=options.max_pairs,
        seeds=options.seeds,
        first=first,
        model=options.llm_model or "none: no such arm took part",
    )
    lines = [head]
    for title, arms in parts:
        lines += [f"## {title}", "", f"| {' | '.join(COLUMNS)} |", "|---" * len(COLUMNS) + "|"]
        lines += [f"| {' | '.join(_row(arm))} |" for arm in arms]
        lines += ["", *(_beside(arm, first) for arm in arms[1:]), ""]
    lines += ["## Tokens and seconds by phase", "", *_phases(options.db), ""]
    problems = [lie for store in every_study(options.db)[:1] for lie in store.verify()]
    lines.append("`lakatos verify` finds nothing amiss in the log." if not problems else f"verify: {problems}")
    return "\n".join(lines) + "\n"


def _command(options: argparse.Namespace) -> str:
    """The command that writes the page anew."""
    words = [f"python benchmarks/arms.py --seeds {options.seeds} --hypotheses {options.hypotheses}"]
    words.append(f"--max-pairs {options.max_pairs} --arms {options.arms}")
    if options.llm_model:
        words.append(f"--llm-model {options.llm_model} --llm-base-url {options.llm_base_url} --turns {options.turns}")
        words.append(f"--asking {options.asking} --asked {' '.join(options.asked)}")
    return " \\\n        ".join(words)


def _lead(parts: Sequence[tuple[str, list[Compared]]]) -> str:
    """Who confirmed most, over everything."""
    total: dict[str, list[float]] = defaultdict(list)
    for _, arms in parts:
        for arm in arms:
            total[arm.arm].append(arm.means["confirmed"] or 0.0)
    everywhere = {name: sum(own) / len(own) for name, own in total.items() if len(own) == len(parts)}
    order = sorted(everywhere, key=lambda name: -everywhere[name])
    told = ", ".join(f"`{name}` {everywhere[name]:.1f}" for name in order)
    asked = [arms for _, arms in parts if len(arms) > len(everywhere)]
    return f"Confirmed claims a run, over all {len(parts)} questions: {told}." + (_LEAST if asked else "")


def _row(arm: Compared) -> list[str]:
    m = arm.means
    counts = [f"{m[name] or 0.0:.1f}" for name in ("confirmed", "groups")]
    shares = ["-" if m[name] is None else f"{m[name]:.0%}" for name in ("explained", "missed")]
    whole = [f"{m[name] or 0.0:,.0f}" for name in ("forwards", "tokens", "seconds")]
    runs = ", ".join(f"{n} {status}" for status, n in arm.ended.items())
    return [f"`{arm.arm}`", runs, *counts, *shares, f"{m['registered'] or 0.0:.1f}", *whole]


def _beside(arm: Compared, first: str) -> str:
    told = [f"{name} {d.mean:+.2f} [{d.low:+.2f}, {d.high:+.2f}]" for name, d in arm.beside.items() if d is not None]
    return f"* `{arm.arm}` - `{first}`: {', '.join(told) or 'one seed'}"


def _phases(db: str) -> list[str]:
    """What each arm spent on what, over all its runs."""
    spent: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    tokens: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for store in every_study(db):
        arm = store.study.name.split(", ")[2]
        arm = Path(arm).stem if arm.startswith("file:") else arm
        for run in store.run_ids():
            for phase, seconds, _ in store.phases(run):
                spent[arm][phase] += seconds
            for call in store.calls(run):
                tokens[arm][call.purpose] += call.tokens_in + call.tokens_out
    lines = []
    for arm, own in spent.items():
        said = ", ".join(f"{phase} {seconds:,.0f} s" for phase, seconds in sorted(own.items(), key=lambda p: -p[1]))
        asked = ", ".join(f"{purpose} {n:,}" for purpose, n in tokens[arm].items())
        lines.append(f"* `{arm}`: {said}" + (f". Tokens: {asked}" if asked else ""))
    return lines


if __name__ == "__main__":
    main()
