"""Behaviours as documents: which there are, and what a check of one against a model finds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lakatos.tools.behaviour import Behaviour, Split, builtin_behaviours, load_behaviour
from lakatos.tools.errors import UserError


def behaviours_document() -> list[dict[str, Any]]:
    """The built-in behaviours, JSON-ready."""
    loaded = [load_behaviour(name) for name in builtin_behaviours()]
    return [
        {
            "name": b.name,
            "version": b.version,
            "hash": b.hash,
            "kind": b.kind,
            "question": b.question,
            "selected_because": b.selected_because,
            "considered": b.considered,
            "positions": b.named_positions,
            "controls": b.controls if b.kind == "pairs" else [],
        }
        for b in loaded
    ]


def check_document(
    name: str, model_name: str, device: str, pairs: int, seed: int, max_pairs: int, say: Callable[[str], None]
) -> dict[str, Any]:
    """A behaviour against a model: what a run would fail on, and how the model does on splits and families.

    Whether the behaviour is there (`ok`) is decided on the splits: a family is asked about only by claims that name it.
    """
    behaviour = load_behaviour(name)
    from lakatos.tools.behaviour import load_controls, readiness_problems
    from lakatos.tools.model import load_model

    controls, problems = load_controls(behaviour, name) if behaviour.kind == "pairs" else ({}, [])
    model = load_model(model_name, device=device, seed=seed, say=say)
    problems += readiness_problems(behaviour, controls, model.tokenizer, max_pairs=max_pairs)
    origins = [] if problems else behaviour.origins
    measured = [_measured(model, behaviour, split, family, pairs, seed) for split, family in origins]
    of_splits = [row for row, (_, family) in zip(measured, origins, strict=True) if family is None]
    return {
        "behaviour": behaviour.name,
        "version": behaviour.version,
        "hash": behaviour.hash,
        "model": model.name,
        "weights": model.weight_hash,
        "problems": [problem.document() for problem in problems],
        "measured": measured,
        "ok": not problems and all(row["present"] for row in of_splits),
    }


def _measured(model: Any, behaviour: Behaviour, split: Split, family: str | None, n: int, seed: int) -> dict[str, Any]:
    from lakatos.tools.behaviour import available
    from lakatos.tools.experiment import measure_presence
    from lakatos.tools.intervention import Runs, run_interventions

    n = available(behaviour, split, family, n)
    runs = Runs(model.bridge, behaviour.sample(n, seed, split, family=family))
    label = f"family {family}" if family else split
    try:
        if behaviour.kind == "pairs":
            presence, _ = measure_presence(model.bridge, runs)
            figures = {k: v for k, v in presence._asdict().items() if k != "gap"}
            return {"split": label, "unit": "logits", **figures}
        loss = float(run_interventions(model.bridge, runs, []).clean.mean())
    except FloatingPointError as error:
        raise UserError(f"{model.name} cannot be measured on {behaviour.name}: {error}") from error
    return {
        "split": label,
        "n": n,
        "accuracy": None,
        "clean": loss,
        "corrupted": None,
        "unit": "nats",
        "present": True,
    }
