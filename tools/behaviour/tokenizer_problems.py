"""Does a behaviour fit a tokenizer? Asked of a sample of its prompts, of every answer, and of every template.

The sample is drawn with a seed of its own. It says nothing of the prompts that a study will be tested on.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from itertools import islice

from lakatos.tools.behaviour.behaviour import Behaviour
from lakatos.tools.behaviour.drawing import Exhausted
from lakatos.tools.behaviour.encoding import Tokenizer, answer_token, bos_tokens, encode_pair, tokens_of
from lakatos.tools.behaviour.markup import Markup, evaluate, parse_markup
from lakatos.tools.behaviour.pairs import SPLITS, PromptPair
from lakatos.tools.behaviour.problems import Apart, Misfit, Problem, apart, grouped, named
from lakatos.tools.errors import UserError

_DRAWN = 1000  # pairs of each split and family that are drawn: a pair that cannot be made turns up late


def static_problems(behaviour: Behaviour, tokenizer: Tokenizer, n: int = 200, seed: int = 0) -> list[Problem]:
    """What is wrong with a behaviour for this tokenizer, one problem for each cause; [] when nothing is.

    Looks at the tokens of `n` pairs of each split and family, and of every answer that the fillers can form.
    """
    try:
        tokens_of("a", tokenizer)
        bos = bos_tokens(behaviour.bos, tokenizer)
    except UserError as error:
        return [Problem("tokenizer", str(error))]
    misfits = [*_of_pairs(behaviour, tokenizer, bos, n, seed), *_of_answers(behaviour, tokenizer)]
    fillers = {
        cause: _long_answers(behaviour, tokenizer) if cause == "answer tokens" else _uneven(behaviour, tokenizer)
        for cause in {misfit.cause for misfit in misfits}
        if cause in ("answer tokens", "length") or cause.startswith("position")
    }
    return grouped(misfits, fillers) + missing_positions(behaviour)


def missing_positions(behaviour: Behaviour) -> list[Problem]:
    """Positions that some templates or pairs have and others lack: names those that lack them."""
    marked: dict[str, list[str]] = {}
    for split, family in behaviour.origins:
        field = f"families.{family}" if family else f"{'pairs' if behaviour.finite else 'templates'}.{split}"
        for label, text in behaviour.texts(split, family).items():
            marked[f"{field}.{label.removeprefix('pair ')}"] = parse_markup(text).names
    problems = []
    for name in dict.fromkeys(name for names in marked.values() for name in names):
        lacking = [where for where, names in marked.items() if name not in names]
        if lacking:
            problems.append(
                Problem(
                    f"missing {name}",
                    f"position {name} is not in every prompt: it is missing from {named(lacking)}; "
                    f"mark it there as [{name}:...], or remove the mark from the others",
                )
            )
    return problems


def _of_pairs(behaviour: Behaviour, tokenizer: Tokenizer, bos: list[int], n: int, seed: int) -> Iterator[Misfit]:
    text_only = behaviour.kind == "text"
    for split, family in behaviour.origins:
        pairs: list[PromptPair] = []
        try:
            with suppress(Exhausted):
                for pair in islice(behaviour.stream(seed, split, family), _DRAWN):
                    pairs.append(pair)
        except UserError as error:
            yield Misfit("draw", f"{family or split}: {error}")
        for pair in pairs[:n]:
            try:
                _refuse_final_space(pair)
                encoded = encode_pair(pair, bos, tokenizer, text_only)
            except Misfit as misfit:
                yield misfit
                continue
            if text_only and len(encoded.clean) < 2:
                yield Misfit(
                    "short text", f"the text {pair.clean!r} has no second token to predict; write a longer one"
                )


def _refuse_final_space(pair: PromptPair) -> None:
    for prompt in (pair.clean, pair.corrupted):
        if prompt.endswith(" ") and pair.answer:
            raise Misfit(
                "final space",
                f"the prompt {prompt!r} ends in a space (template {pair.template}); move the space from the prompt to "
                f"the answer, which is then {f' {pair.answer.lstrip()}'!r}",
            )


def _of_answers(behaviour: Behaviour, tokenizer: Tokenizer) -> Iterator[Misfit]:
    for split in SPLITS:
        for answer in behaviour.answers(split):
            try:
                answer_token(answer, tokenizer)
            except Misfit as misfit:
                yield misfit


def _long_answers(behaviour: Behaviour, tokenizer: Tokenizer) -> list[Apart]:
    """The answers of each split that are not one token."""
    return [
        item
        for split in SPLITS
        for item in apart(
            f"answers ({split})", {text: len(tokens_of(text, tokenizer)[0]) for text in behaviour.answers(split)}, 1
        )
    ]


def _uneven(behaviour: Behaviour, tokenizer: Tokenizer) -> list[Apart]:
    """The fillers that clean and corrupted differ in and that are not as many tokens as most of their list."""
    found: list[Apart] = []
    for expression, lead in sorted(_differing(behaviour)):
        variable, _, field = expression.partition(".")
        kind = behaviour.draw[variable]
        for split in SPLITS:
            values = [evaluate(expression, {variable: filler}) for filler in behaviour.fillers[kind].of(split)]
            sizes = {value: len(tokens_of(lead + value, tokenizer)[0]) for value in values}
            found += apart(f"fillers.{kind}{f'.{field}' if field else ''} ({split})", sizes)
    return list({str(item): item for item in found}.values())


def _differing(behaviour: Behaviour) -> set[tuple[str, str]]:
    """What stands in the derived variables: each expression, with the space before it or ""."""
    found: set[tuple[str, str]] = set()
    texts = [text for split, family in behaviour.origins for text in behaviour.texts(split, family).values()]
    for outer in map(parse_markup, texts):
        for place, piece in enumerate(outer.pieces):
            for formats in (behaviour.clean, behaviour.corrupted):
                if piece.kind != "variable" or piece.value not in formats:
                    continue
                inner = parse_markup(formats[piece.value])
                for k, part in enumerate(inner.pieces):
                    if part.kind == "variable":
                        found.add((part.value, _space(inner, k) if k else _space(outer, place)))
    return found


def _space(markup: Markup, place: int) -> str:
    """The space before a piece, or "": a word is often other tokens with one than without."""
    before = [piece for piece in markup.pieces[:place] if piece.kind in ("text", "variable")]
    return " " if before and before[-1].kind == "text" and before[-1].value.endswith(" ") else ""
