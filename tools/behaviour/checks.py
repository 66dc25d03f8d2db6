"""The checks of a behaviour's definition: what is missing, unused, defined twice or impossible to render."""

from __future__ import annotations

import itertools
import random
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

from lakatos.tools.behaviour.definition import Definition
from lakatos.tools.behaviour.drawing import draws_of, made_pair
from lakatos.tools.behaviour.markup import entity, evaluate, listed, parse_markup, plain
from lakatos.tools.behaviour.pairs import SPLITS, Split
from lakatos.tools.behaviour.templates import BySplit, Template, check_positions, check_templates
from lakatos.tools.errors import UserError

_GENERATOR = {"fillers", "draw", "distinct", "clean", "corrupted", "answer", "wrong", "families"}


def check_definition(definition: Definition) -> None:
    """Raises UserError, blaming the field, where the prompts that the fields promise could not be made."""
    if (definition.templates is None) == (definition.pairs is None):
        raise UserError("templates: give either `templates` or `pairs`, and not both")
    if definition.kind == "text" and (
        definition.answer or definition.wrong or definition.corrupted or definition.pairs
    ):
        raise UserError("kind: a text behaviour has templates only; remove answer, wrong, corrupted and pairs")
    if definition.templates is not None:
        _check_generator(definition, definition.templates)
    if definition.pairs is not None:
        if unused := [name for name in _GENERATOR if getattr(definition, name)]:
            raise UserError(f"{min(unused)}: not used where `pairs` are given; remove it")
        definition.pairs.check_disjoint("pairs", lambda pair: plain(pair.clean))
    for split, family in definition.origins:
        draws = draws_of(definition, random.Random(0), split, definition.templates_in(split, family))
        draws = draws if definition.pairs else itertools.islice(draws, 32)
        with blaming(f"a sample of the {f'family {family}' if family else f'{split} split'}"):
            for draw in draws:
                made_pair(definition.kind, "", *draw)


def _check_generator(definition: Definition, templates: BySplit[Template]) -> None:
    if definition.kind == "pairs" and (definition.answer is None or definition.wrong is None):
        raise UserError(f"{'wrong' if definition.answer else 'answer'}: missing; a format string such as ' {{io}}'")
    if definition.kind == "pairs" and definition.clean.keys() != definition.corrupted.keys():
        raise UserError(
            f"corrupted: defines {listed(definition.corrupted)}, clean defines {listed(definition.clean)}; "
            "both must define the same variables"
        )
    for name in definition.clean.keys() & definition.draw.keys():
        raise UserError(f"clean.{name}: is drawn as well; give the derived variable another name")
    for variable, kind in definition.draw.items():
        if kind not in definition.fillers:
            raise UserError(f"draw.{variable}: no fillers of kind {kind!r}; there are {listed(definition.fillers)}")
        wanted = list(definition.draw.values()).count(kind)
        if wanted > min(len(definition.fillers[kind].of(split)) for split in SPLITS):
            raise UserError(f"fillers.{kind}: {wanted} variables draw from it, and one split has fewer entries")
    for kind, lists in definition.fillers.items():
        if {} in [*lists.exploration, *lists.confirmation]:
            raise UserError(f"fillers.{kind}: holds an empty record; give it fields, or remove it")
        lists.check_disjoint(f"fillers.{kind}", entity)
    own = {split: templates.of(split) for split in SPLITS}
    check_templates(own | {f"families.{name}": family for name, family in definition.families.items()})
    for split in SPLITS:
        _check_expressions(definition, split, f"templates.{split}", own[split])
    for name, family in definition.families.items():
        if not re.match(r"^[a-z][a-z0-9_]*$", name) or not family:
            raise UserError(f"families.{name}: a name such as 'distant', and at least one template")
        _check_expressions(definition, "confirmation", f"families.{name}", family)
        check_positions(name, family, definition.named_positions)


def _check_expressions(definition: Definition, split: Split, where: str, templates: list[Template]) -> None:
    """Every expression is defined for every filler, and only templates carry named positions."""
    sides = {"clean": definition.clean, "corrupted": definition.corrupted}
    formats = {f"{side}.{name}": text for side, texts in sides.items() for name, text in texts.items()}
    formats |= {"answer": definition.answer or "", "wrong": definition.wrong or ""}
    derived = dict.fromkeys(definition.clean, "?")
    for field, text in formats.items():
        with blaming(field):
            if parse_markup(text).names:
                raise UserError("only templates have named positions; write '[[' for the character")
            _try(definition, parse_markup(text).variables, split, {})
    for group in definition.distinct:
        with blaming("distinct"):
            _try(definition, group, split, {})
    for template in templates:
        with blaming(f"{where}.{template.id}"):
            _try(definition, parse_markup(template.text).variables, split, derived)


def _try(definition: Definition, expressions: Iterable[str], split: Split, derived: Mapping[str, str]) -> None:
    for expression in expressions:
        variable = expression.partition(".")[0]
        if variable not in definition.draw:
            evaluate(expression, dict.fromkeys(definition.draw, "?") | dict(derived))
            continue
        for filler in definition.fillers[definition.draw[variable]].of(split):
            evaluate(expression, {variable: filler})


@contextmanager
def blaming(where: str) -> Iterator[None]:
    """Put the blamed field before what is said."""
    try:
        yield
    except UserError as error:
        raise UserError(f"{where}: {error}") from error
