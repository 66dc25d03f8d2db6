"""What the verdicts of a run come to: in the words of a language model, and as the run's last event."""

from __future__ import annotations

from lakatos.agent.run.asking import ABANDONED, Asking
from lakatos.agent.run.context import Context
from lakatos.agent.words import verdict
from lakatos.experiments_db.verdict import OFFICIAL
from lakatos.prompts import load_prompt


def ask_for_prose(run: Context, round_: int) -> None:
    """Ask what the verdicts mean together; the answer is logged and shown as prose. No answer is no failure.

    Raises:
        Stop: a limit of the run is reached, or the user interrupted.
    """
    entries = [e for e in run.entries() if e.evidence is not None]
    ended = [c for c in run.store.calls(run.run_id, round_, "interpret") if c.error != ABANDONED]
    if not entries or ended:
        return
    prompt = load_prompt("interpret")
    text = prompt.render(
        behaviour=run.behaviour.name,
        question=run.behaviour.question,
        model=run.row.model,
        gap=float(run.payload("checked")["gap"]),
        verdicts=[verdict(entry) for entry in entries],
    )
    Asking(run).ask(round_, "interpret", 1, prompt, [{"role": "user", "content": text}], None)


def conclude(run: Context) -> None:
    """Note the verdicts as they stand."""
    if run.store.event_of(run.run_id, "finished") is None:
        with run.store.snapshot() as log:
            entries, head = log.hypotheses(run.run_id), log.ledger_head()
        payload = {
            "method": OFFICIAL,
            "confirmed": [e.id for e in entries if e.state == "confirmed"],
            "ledger_head": head,
        }
        run.store.event(run.run_id, "finished", payload)
