"""A person between proposing and registering (`--approve`): keeps, edits, drops and adds claims, and signs for it.

What was put forward is an event, and so is what the person made of it, whether at the terminal or on the review site.
Nothing that was dropped costs a slot; all of it stays in the log.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from lakatos.agent.run.context import Context
from lakatos.agent.view import Proposal
from lakatos.experiments_db.log import DRAFTED, approval, approve, dropped

Approver = Callable[[str, Sequence[Proposal]], tuple[str, list[Proposal]]]  # behaviour, drafts -> who, what is kept
_LOOK: Final = 0.5  # seconds between two looks whether somebody has decided


def approved(run: Context, round_: int, proposals: list[Proposal]) -> list[Proposal]:
    """What a person makes of a round's proposals; all of them where the run asks nobody.

    Raises:
        Stop: the user interrupted, or a limit is reached, before anybody decided; the run goes on with the question.
    """
    if not run.config.approve:
        return proposals
    decided = approval(run.store, run.run_id, round_)
    if decided is None and not any(e.payload["round"] == round_ for e in run.store.events(run.run_id, DRAFTED)):
        run.store.event(run.run_id, DRAFTED, {"round": round_, "put": proposals})
    if decided is None and run.approver is not None:
        author, kept = run.approver(run.behaviour.name, proposals)
        approve(run.store, run.run_id, round_, kept, author)
    elif decided is None:
        run.watcher.say(f"{len(proposals)} drafts wait for a person: `lakatos review` shows them")
    while (decided := approval(run.store, run.run_id, round_)) is None:
        run.check_limits()
        run.interruptions.idle(_LOOK)
    told = f"{decided.payload['author']} kept {len(decided.payload['kept'])} claims"
    run.watcher.say(f"{told}, dropped {len(dropped(proposals, decided.payload['kept']))}")
    return list(decided.payload["kept"])
