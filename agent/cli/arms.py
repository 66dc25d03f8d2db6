"""`lakatos run --arms`: ways to propose, compared."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.markup import escape
from rich.table import Table

from lakatos.agent.cli.options import err, out, print_json
from lakatos.agent.config import RunConfig
from lakatos.tools.errors import UserError

if TYPE_CHECKING:
    from lakatos.agent.arms import Compared

_BUDGET = 20_000.0  # forward passes of each run, where none is given: arms are compared under one budget


def compare_arms(
    behaviour: str | None, names: str, seeds: int, fields: dict[str, Any], db: str, *, quiet: bool, as_json: bool
) -> int:
    """Run every arm with every seed, and print what each came to.

    Args:
        fields: the settings that all arms have in common, as the command line gave them.

    Raises:
        UserError: an arm or a setting is none, or a setting belongs to the arms.
    """
    from lakatos.agent.arms import compared, parse_arms, run_arms
    from lakatos.agent.watch import RichWatcher, Silent

    defaults = RunConfig().model_dump()
    given = {name: value for name, value in fields.items() if value != defaults[name]}
    own = [f"--{name.replace('_', '-')}" for name in ("proposer", "seed", "rounds", "llm_style") if name in given]
    if own:
        raise UserError(f"Arms have their own {', '.join(own)}: leave it out. Seeds are 1, 2, ..., --seeds of them.")
    if behaviour is None:
        raise UserError("Name a behaviour to compare arms on: `lakatos run ioi --arms drill,random`.")
    chosen = parse_arms(names)
    common = RunConfig.checked({"max_forwards": _BUDGET} | given)
    watcher = Silent() if quiet else RichWatcher(err())
    try:
        found = compared(run_arms(behaviour, chosen, seeds, common, db=db, watcher=watcher))
    finally:
        watcher.close()
    if as_json:
        print_json({"behaviour": behaviour, "model": common.model, "arms": [arm.as_dict() for arm in found]})
    else:
        title = (
            f"{behaviour} on {common.model}: {common.hypotheses} hypotheses, {common.max_forwards:,.0f} passes a run"
        )
        print_arms(found, title)
    return 0


def print_arms(found: list[Compared], title: str) -> None:
    """The table of arms: means over seeds, and differences from the first arm with their intervals."""
    table = Table(box=None, padding=(0, 2, 0, 0), title=escape(title), title_justify="left")
    columns = (
        "arm",
        "runs",
        "confirmed",
        "groups",
        "explained",
        "missed by",
        "registered",
        "passes",
        "tokens",
        "money",
    )
    for column in (*columns, "seconds"):
        table.add_column(column, justify="left" if column == "arm" else "right")
    for arm in found:
        table.add_row(*(escape(cell) for cell in _row(arm)))
    out().print(table)
    for arm in found[1:]:
        told = [
            f"{name} {d.mean:+.2f} [{d.low:+.2f}, {d.high:+.2f}]" for name, d in arm.beside.items() if d is not None
        ]
        if told:
            out().print(escape(f"{arm.arm} - {found[0].arm}: {', '.join(told)}"), highlight=False)
    out().print(
        "Means over seeds. explained: of the gap, by the confirmed nodes together. missed by: mean |predicted - "
        "measured| effect. Differences are paired by seed, with Student's 95 % interval.",
        markup=False,
        highlight=False,
    )


def _row(arm: Compared) -> tuple[str, ...]:
    m = arm.means
    runs = ", ".join(f"{n} {status}" for status, n in arm.ended.items())
    counts = (f"{m[name] or 0.0:.1f}" for name in ("confirmed", "groups"))
    shares = ("-" if m[name] is None else f"{m[name]:.0%}" for name in ("explained", "missed"))
    money = "-" if m["money"] is None else f"{m['money']:.3g}"
    whole = (f"{m[name] or 0.0:,.0f}" for name in ("forwards", "tokens"))
    return (
        arm.arm,
        runs,
        *counts,
        *shares,
        f"{m['registered'] or 0.0:.1f}",
        *whole,
        money,
        f"{m['seconds'] or 0.0:,.0f}",
    )
