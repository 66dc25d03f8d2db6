"""From documents to HTML, for the one-file report and the review site: one environment, one way to write a number.

Whatever a language model, a behaviour file or the database says is text and never markup: everything is escaped, and
characters that would reorder or break a page are shown as their number.
"""

from __future__ import annotations

import functools
import hashlib
import json
import random
from collections.abc import Callable, Sequence
from typing import Any

import jinja2
from markupsafe import Markup

from lakatos.experiments_db.documents import PromptLine
from lakatos.experiments_db.report import charts, svg
from lakatos.experiments_db.report.mechanism_picture import mechanism_svg
from lakatos.experiments_db.report.mechanism_rows import findings
from lakatos.experiments_db.report.resources import PACKAGE, showable
from lakatos.tools.claim import CLAIM, in_words

_PROMPTS_SHOWN = 5


@functools.cache
def environment() -> jinja2.Environment:
    """Where templates are rendered: autoescaped, an unknown name is an error, None is nothing."""
    made = jinja2.Environment(
        loader=jinja2.PackageLoader(PACKAGE, "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: "" if value is None else value,
    )
    made.globals |= {"charts": charts, "mechanism_svg": mechanism_svg, "rows_of": findings}
    made.filters |= {
        "number": _exactly(svg.number),
        "signed": _exactly(svg.signed),
        "percent": _exactly(svg.percent),
        "claim_in_words": lambda record: in_words(CLAIM.validate_python(record["claim"]), record["behaviour"]),
        "by_quantile": by_quantile,
        "at_random": at_random,
        "moment": moment,
        "without_rationale": lambda proposal: {k: v for k, v in proposal.items() if k != "rationale"},
        "exact_json": lambda value: json.dumps(value, indent=1, ensure_ascii=False),
    }
    return made


def render(template: str, **values: Any) -> str:
    """A page."""
    return showable(environment().get_template(template).render(**values))


def by_quantile(prompts: Sequence[PromptLine], how_many: int = _PROMPTS_SHOWN) -> list[tuple[str, PromptLine]]:
    """Prompts spread evenly over the main effect, the worst first, each with the quantile that it stands for."""
    ranked = sorted(prompts, key=lambda prompt: prompt.main)
    last = len(ranked) - 1
    names = {0.0: "worst", 0.5: "median", 1.0: "best"}
    chosen: dict[int, str] = {}
    for k in range(how_many):
        share = k / (how_many - 1)
        if ranked:
            chosen.setdefault(round(share * last), names.get(share, svg.percent(share)))
    return [(name, ranked[place]) for place, name in chosen.items()]


def at_random(
    prompts: Sequence[PromptLine], identity: str, how_many: int = _PROMPTS_SHOWN
) -> list[tuple[str, PromptLine]]:
    """Prompts by lot, the same ones whenever the claim is looked at: the lot is drawn from its hash."""
    seed = int(hashlib.sha256(f"{identity}|exemplars".encode()).hexdigest()[:15], 16)
    places = random.Random(seed).sample(range(len(prompts)), min(how_many, len(prompts)))
    return [(f"prompt {place + 1}", prompts[place]) for place in places]


def moment(at: str) -> str:
    """A time as people read it, to the second."""
    return at[:19].replace("T", " ") + " UTC"


def _exactly(form: Callable[..., str]) -> Callable[..., Any]:
    """A number as people read it, with all its digits beside it for whoever parses the page."""

    def show(value: float | None, *how: Any, **more: Any) -> Any:
        shown = form(value, *how, **more)
        return shown if value is None else Markup('<data value="{}">{}</data>').format(repr(value), shown)

    return show
