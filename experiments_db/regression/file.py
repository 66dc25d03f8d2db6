"""A confirmed claim as a file, `*.hypothesis.yaml`: readable, diffable, and all that it takes to test it again.

It holds the claim as text, what it was confirmed of (model and weights, behaviour and controls with their
definitions), what was found, how far that may fall, and the constants of its battery. All of it is checked when it is
read: the claim's hash covers claim, weights, behaviour and controls, so a file that was changed by hand does not pass
for what was confirmed. The tolerances are the file's own, and may be edited.

The YAML is read with the safe loader, without anchors, and up to `MOST_BYTES`.
"""

from __future__ import annotations

import re
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from lakatos.tools.behaviour import PROMPT_GENERATOR, Behaviour
from lakatos.tools.claim import AnyClaim, Arms, claim_hash, parse_claim
from lakatos.tools.component import Component
from lakatos.tools.errors import UserError
from lakatos.tools.evidence import BEHAVIOUR, Battery, Tolerance

SUFFIX = ".hypothesis.yaml"
FORMAT = 1
MOST_BYTES = 2_000_000
MOST_DEEP = 50  # lists and fields in one another
_SHA256 = r"^sha256:[0-9a-f]{64}$"
_AGAIN = "export it again (`lakatos export --tests`)"
_HEAD = """\
# A confirmed claim about a model, as a regression test: `pytest` collects it where lakatos is installed.
# It fails once half of the effect is gone (`lost`), and not while at least `kept` is there. See `lakatos rerun --help`.
"""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class ModelId(_Frozen):
    """What the claim was confirmed of."""

    name: str = Field(min_length=1, max_length=400)
    weights: str = Field(pattern=_SHA256)


class Prompts(_Frozen):
    """A behaviour whole."""

    name: str = Field(min_length=1, max_length=200)
    version: int
    hash: str = Field(pattern=_SHA256)
    definition: dict[str, Any]

    @cached_property
    def behaviour(self) -> Behaviour:
        """The generator itself.

        Raises:
            UserError: the definition is none.
        """
        return Behaviour.model_validate(self.definition)

    @classmethod
    def of(cls, behaviour: Behaviour) -> Self:
        """A behaviour, to be written."""
        return cls(
            name=behaviour.name,
            version=behaviour.version,
            hash=behaviour.hash,
            definition=behaviour.model_dump(mode="json", exclude_defaults=True),
        )


class Confirmed(_Frozen):
    """What the confirmation found of the main effect."""

    registered_at: str
    slot: int
    e: float
    n: int
    effect: float  # mean, raw units
    low: float  # interval, adjusted for having been selected
    high: float
    level: float
    unit: str
    of_gap: float | None  # the effect as a share of the clean-corrupted gap


class HypothesisFile(_Frozen):
    """One confirmed claim, to be tested again."""

    lakatos: Literal[1] = Field(description="the version of this format")
    claim: str = Field(max_length=4000)
    hash: str = Field(pattern=_SHA256)
    study: str = Field(max_length=200)
    model: ModelId
    confirmed: Confirmed
    alpha: float = Field(gt=0, lt=0.5, description="how often a true claim may fail")
    pairs: int = Field(ge=1, description="prompts after which half of the effect being gone shows")
    tolerance: tuple[Tolerance, ...] = Field(min_length=1)
    generator: int = Field(description="the version of how prompts are drawn from a behaviour and a seed")
    battery: Battery
    behaviour: Prompts
    controls: tuple[Prompts, ...]

    @cached_property
    def typed(self) -> AnyClaim:
        """The claim."""
        return parse_claim(self.claim)[0]

    @property
    def title(self) -> str:
        """The claim in a few words: where, what, of which behaviour, how."""
        return self.typed.title(self.behaviour.name)

    @property
    def file_name(self) -> str:
        """Readable, and no other claim's: a slug of the title and eight digits of the hash."""
        slug = re.sub(r"[^a-z0-9.]+", "-", self.title.lower()).strip("-.")[:80].strip("-.")
        return f"{slug}-{self.hash.removeprefix('sha256:')[:8]}{SUFFIX}"

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.generator != PROMPT_GENERATOR:
            raise UserError(
                f"generator: the file is for prompt generator {self.generator}, and this lakatos has "
                f"{PROMPT_GENERATOR}: install the other version, or {_AGAIN}."
            )
        claim, behaviour = parse_claim(self.claim)
        if behaviour != self.behaviour.name:
            raise UserError(f"claim: is about {behaviour}, and behaviour.name is {self.behaviour.name}.")
        for where, prompts in [("behaviour", self.behaviour), *((f"controls.{c.name}", c) for c in self.controls)]:
            try:
                own = prompts.behaviour
            except ValidationError as error:
                raise UserError(f"{where}.definition.{'; '.join(_mend(e) for e in error.errors()[:3])}") from error
            except UserError as error:
                raise UserError(f"{where}.definition.{error}") from error
            if (own.name, own.version, own.hash) != (prompts.name, prompts.version, prompts.hash):
                raise UserError(
                    f"{where}.definition: is {own.name} version {own.version} with hash {own.hash}, and not what "
                    f"{where} says; its prompts are not those of the confirmation. Undo the change, or {_AGAIN}."
                )
        controls = {c.name: c.hash for c in self.controls}
        weights, prompts_of = self.model.weights, self.behaviour.hash
        if claim_hash(claim, weights=weights, behaviour=prompts_of, controls=controls, study=self.study) != self.hash:
            raise UserError(
                "hash: is not that of this claim, model.weights, behaviour, controls and study. What was confirmed is "
                f"another claim: undo the change, or test this one with `lakatos run` and {_AGAIN}."
            )
        self._check_battery(claim)
        return self

    def _check_battery(self, claim: AnyClaim) -> None:
        try:
            measured = claim.tested.measured(self.battery.matched)
            for arm in measured.arms if isinstance(measured, Arms) else ():
                for component in (*arm.components, *(place for place in arm.to if place != "logits")):
                    Component.parse(component)
            names = measured.names([c.name for c in self.controls])
            parts = claim.tested.parts(self.battery, {name: np.zeros(1) for name in names})
        except (KeyError, ValueError) as error:
            raise UserError(f"battery: does not fit the claim ({error}); {_AGAIN}.") from error
        if [part.name for part in parts] != [line.name for line in self.battery.lines]:
            raise UserError(f"battery.lines: are not those of the claim; {_AGAIN}.")
        wanted = [part.name for part in parts if part.decides]
        wanted += [BEHAVIOUR] if any(part.decides and part.delta < 0 for part in parts) else []
        if [t.line for t in self.tolerance] != wanted:
            raise UserError(f"tolerance: must have the lines {', '.join(wanted)}, in this order.")


class _Dumper(yaml.SafeDumper):
    """Block style, but for short lists; prose is folded."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002
        return True


def _text(dumper: _Dumper, text: str) -> yaml.Node:
    if any(break_ in text for break_ in "\x85\u2028\u2029"):  # line breaks to YAML, which any other style turns into \n
        return dumper.represent_scalar("tag:yaml.org,2002:str", text, style='"')
    folded = text.endswith("\n") or len(text) > 90
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=">" if folded else None)


def _list(dumper: _Dumper, items: list[Any]) -> yaml.Node:
    short = all(not isinstance(item, dict | list) and len(str(item)) < 30 for item in items)
    return dumper.represent_sequence("tag:yaml.org,2002:seq", items, flow_style=short)


_Dumper.add_representer(str, _text)
_Dumper.add_representer(list, _list)


def to_text(file: HypothesisFile) -> str:
    """The file's text: the same claim gives the same bytes."""
    return _HEAD + yaml.dump(
        file.model_dump(mode="json"), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110
    )


def read(path: str | Path) -> HypothesisFile:
    """Read and check a file.

    Raises:
        UserError: it cannot be read; names file and field, and says how to mend it.
    """
    path = Path(path)
    try:
        if path.stat().st_size > MOST_BYTES:
            raise UserError(f"{path}: has more than {MOST_BYTES:,} bytes, so it is no hypothesis file.")
        return from_text(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read ({error}).") from error
    except UserError as error:
        told = str(error)
        raise UserError(told if told.startswith(f"{path}:") else f"{path}: {told}") from error


def from_text(text: str) -> HypothesisFile:
    """Read and check a file's text.

    Raises:
        UserError: names the field.
    """
    try:
        if len(text) > MOST_BYTES:
            raise UserError(f"has more than {MOST_BYTES:,} characters, so it is no hypothesis file.")
        _check_shape(text)
        data = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise UserError(f"is not valid YAML: {error}") from error
    if not isinstance(data, dict):
        raise UserError(f"holds {type(data).__name__}, not fields; {_AGAIN}.")
    if data.get("lakatos") != FORMAT:
        raise UserError(f"lakatos: this version reads format {FORMAT}, not {data.get('lakatos')!r}; {_AGAIN}.")
    try:
        return HypothesisFile.model_validate(data)
    except ValidationError as error:
        raise UserError("; ".join(_mend(e) for e in error.errors()[:5])) from error
    except RecursionError as error:
        raise UserError("is nested too deeply") from error


def _check_shape(text: str) -> None:
    """Refuse what costs far more to read than to write, before reading it."""
    depth = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        if isinstance(event, yaml.AliasEvent):
            raise UserError("holds a YAML alias (*name), which no hypothesis file has; write the value out.")
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > MOST_DEEP:
            raise UserError(f"is nested more than {MOST_DEEP} deep, which no hypothesis file is; {_AGAIN}.")


def _mend(error: Any) -> str:
    field = ".".join(str(part) for part in error["loc"]) or "file"
    hint = {"missing": ": add it", "extra_forbidden": ": remove it"}.get(error["type"], "")
    return f"{field}: {error['msg'].removeprefix('Value error, ')}{hint}"
