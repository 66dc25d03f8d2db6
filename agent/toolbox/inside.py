"""Where to look inside of the model: attributions, attention, edges, the logit lens, head scores, who steps in."""

from __future__ import annotations

import math
from typing import Annotated, Any, Final, Literal

from pydantic import Field

from lakatos.agent.toolbox.desk import Desk, Refusal
from lakatos.agent.toolbox.table import Table
from lakatos.tools.claim import AttentionRole, Backup
from lakatos.tools.component import Component

Page = Annotated[int, Field(ge=1, le=100, description="of a long table: 1, 2, ...")]
_ROLE_THRESHOLD: Final = 0.1  # share of attention
_WORTH: Final = 0.01  # of the gap: an estimate of less suggests nothing
_HEADS: Final = 12  # at once
_MISSING: Final = 6


def attribution(
    desk: Desk,
    kind: Annotated[
        Literal["patching", "direct"], Field(description="patching: estimated effect; direct: on the logits")
    ] = "patching",
    position: Annotated[
        str | None, Field(description="a named position, 'all' for whole components; default: every place")
    ] = None,
    component: Annotated[Literal["head", "mlp"] | None, Field(description="only heads, or only MLPs")] = None,
    layer: Annotated[int | None, Field(ge=0, description="only this layer")] = None,
    page: Page = 1,
) -> Table:
    """Every head and MLP ranked by attribution: a first-order estimate, good for where to look and often wrong in size.

    It misses what saturates and what others back up; measure with `effects` before you believe it.
    """
    view = desk.view
    if position not in (None, "all", *view.behaviour.named_positions):
        raise Refusal(f"the positions are {', '.join(view.behaviour.named_positions)}, or 'all'")
    rows = []
    for found in view.findings["attributions" if kind == "patching" else "direct"]:
        place = Component.parse(found["component"])
        here = place.position or "all"
        if component in (None, place.kind) and layer in (None, place.layer) and position in (None, here):
            share = found["score"] / view.explored.gap
            worth = abs(share) >= _WORTH
            claim = desk.effect_claim((str(place),), "denoising", (), share) if worth else ""
            rows.append((str(place), share, found["sd"] / view.explored.gap, claim))
    what = (
        "Attribution patching: estimated effect of denoising, as a fraction of the gap"
        if kind == "patching"
        else "Direct logit attribution at END: what each writes towards the answer, as a fraction of the gap"
    )
    title = f"{what}; positive supports the behaviour. sd over {view.findings['pairs']} exploration pairs."
    return Table(title, ("component", "effect", "sd", "registers as"), rows, by=1, page=page)


def attention(
    desk: Desk,
    heads: Annotated[list[str], Field(min_length=1, max_length=_HEADS, description="heads without a position: a9.h6")],
    attends_from: Annotated[str | None, Field(description="a named position; default: all of them")] = None,
    page: Page = 1,
) -> Table:
    """Where heads look on clean prompts: the share of attention from one named position to others.

    Attention says what a head reads, and neither what it moves nor whether that matters.
    """
    named = desk.view.behaviour.named_positions
    if attends_from not in (None, *named):
        raise Refusal(f"the positions are {', '.join(named)}")
    own = [desk.component(text, kinds=("head",), placed=False) for text in heads]
    rows: list[tuple[Any, ...]] = []
    for head, shares in zip(own, desk.view.searching.attention(own), strict=True):
        for (source, to), share in shares.items():
            if attends_from in (None, source) and share >= 0.005:
                rows.append((f"{head} {source}->{to}", share, _role(desk, head, source, to)))
    rows.sort(key=lambda row: -row[1])
    title = "Share of attention (0 to 1) on clean exploration prompts; each head and position adds up to 1."
    return Table(title, ("head from->to", "share", "registers as"), rows, by=1, page=page)


def reads(
    desk: Desk,
    component: Annotated[str, Field(description="a head's part or an MLP that reads, or a head or MLP that writes")],
    page: Page = 1,
) -> Table:
    """Who feeds this component, and whom it feeds: edge attribution, a first-order estimate of each direct path."""
    place = desk.component(component, placed=False)
    edges = desk.view.searching.edges
    if not edges:
        raise Refusal("edges cannot be had on this model; measure single paths with `effects` and `to`")
    bare, rows = str(place), list[tuple[Any, ...]]()
    for sender, receivers in edges.items():
        for receiver, score in receivers.items():
            whole = receiver.rpartition(".")[0] if receiver.endswith((".q", ".k", ".v")) else receiver
            if bare in (sender, receiver, whole):
                claim = desk.effect_claim((sender,), "denoising", (receiver,), score)
                rows.append((f"{sender} -> {receiver}", score, claim))
    if not rows:
        raise Refusal(
            f"no edge has {bare} at an end; give a head (a9.h6), its query (a9.h6.q), keys or values of a group "
            "(a9.g2.k), or an MLP"
        )
    rows.sort(key=lambda row: -abs(row[1]))
    title = "Edge attribution: estimated effect of denoising one direct path, as a fraction of the gap."
    return Table(title, ("path", "effect", "registers as"), rows, by=1, page=page)


def lens(desk: Desk, position: Annotated[str, Field(description="a named position")] = "END") -> Table:
    """What the residual stream would answer at a position, layer by layer (logit lens).

    A jump between two layers says where the answer is written. Early layers speak another language than the lens.
    """
    if position not in desk.view.behaviour.named_positions:
        raise Refusal(f"the positions are {', '.join(desk.view.behaviour.named_positions)}")
    rows = [
        (f"r{row.layer}", row.difference, row.first, " ".join(repr(word) for word in row.top))
        for row in desk.view.searching.lens(position)
    ]
    title = (
        f"Logit lens at {position}, before each block and after the last: logit(answer) - logit(wrong) in logits, the "
        "share of prompts (0 to 1) on which the answer comes first, the tokens that come first most often."
    )
    return Table(title, ("residual", "difference", "answer first", "first"), rows)


def heads(
    desk: Desk,
    score: Annotated[
        Literal["previous", "duplicate", "induction", "copying"], Field(description="what ranks the heads")
    ] = "induction",
    page: Page = 1,
) -> Table:
    """What kind of head each head is: attention on repeated random tokens, and copying by its OV circuit."""
    found = desk.view.searching.head_scores
    columns = ("previous", "duplicate", "induction", "copying")
    by = 1 + columns.index(score)
    ranked = sorted(found, key=lambda own: -abs(getattr(own, score)) if math.isfinite(getattr(own, score)) else 0.0)
    rows = [(str(own.head), *(float(getattr(own, name)) for name in columns)) for own in ranked]
    title = (
        "previous, duplicate, induction: share of attention (0 to 1) on random tokens that repeat. copying: -1 to 1, "
        "above 0 raises the tokens that it reads, below 0 lowers them."
    )
    return Table(title, ("head", *columns), rows, by=by, page=page)


def backups(
    desk: Desk,
    missing: Annotated[
        list[str], Field(min_length=1, max_length=_MISSING, description="heads or MLPs, without a position")
    ],
    page: Page = 1,
) -> Table:
    """Who steps in when a component is ablated: later heads and MLPs that then write more towards the answer."""
    own = [desk.component(text, kinds=("head", "mlp"), placed=False) for text in missing]
    rows: list[tuple[Any, ...]] = []
    for gone, growth in zip(own, desk.view.searching.stepping_in(own), strict=True):
        for later, logits in growth.items():
            share = logits / desk.view.explored.gap
            rows.append((f"{later} for {gone}", share, _backup(desk, later, gone) if share > 0 else ""))
    rows.sort(key=lambda row: -abs(row[1]))
    title = "How much more each writes towards the answer once the other is resampled, as a fraction of the gap."
    return Table(title, ("who for whom", "more", "registers as"), rows, by=1, page=page)


def _role(desk: Desk, head: Component, source: str, to: str) -> str:
    named = desk.view.behaviour.named_positions
    if source == to or to not in named:
        return ""
    claim = AttentionRole(components=(str(head),), attends_from=source, attends_to=to, threshold=_ROLE_THRESHOLD)
    return desk.sentence(claim)


def _backup(desk: Desk, later: Component, gone: Component) -> str:
    fields = {"components": (str(later),), "backed_up": (str(gone),), "threshold": desk.view.threshold}
    try:
        return desk.sentence(Backup.model_validate(fields))
    except ValueError:
        return ""
