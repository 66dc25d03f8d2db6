"""The closed words that claims are made of, and what else each may be called."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator

Source = Literal["clean", "corrupted", "resample", "zero"]
Base = Literal["clean", "corrupted"]
Metric = Literal["logit_diff", "prob_diff"]

DEFAULT_THRESHOLD = 0.1
LEAST_RANDOM = 3  # matched random components, receivers or circuits
DIGITS = 4  # of fractions: a claim that differs by less is the same claim


def _synonym(value: Any) -> Any:
    return _SYNONYMS.get(plain(value), value) if isinstance(value, str) else value


def plain(word: str) -> str:
    """A word as the vocabulary writes it: lower case, joined by underscores."""
    return word.strip().lower().replace(" ", "_").replace("-", "_")


_SYNONYMS = {
    **dict.fromkeys(("resample", "resampling", "resample_ablation"), "resample"),
    **dict.fromkeys(("zero", "zero_ablation"), "zero"),
    **dict.fromkeys(("denoising", "denoise", "clean_into_corrupted"), "denoising"),
    **dict.fromkeys(("noising", "noise", "corrupted_into_clean"), "noising"),
    **dict.fromkeys(("supports", "positive", "carries"), "supports"),
    **dict.fromkeys(("opposes", "negative"), "opposes"),
    **dict.fromkeys(("logit_diff", "logit_difference"), "logit_diff"),
    **dict.fromkeys(("prob_diff", "probability_difference"), "prob_diff"),
}
Ablation = Annotated[Literal["resample", "zero"], BeforeValidator(_synonym)]
Patch = Annotated[Literal["denoising", "noising"], BeforeValidator(_synonym)]
AnyIntervention = Annotated[Literal["resample", "zero", "denoising", "noising"], BeforeValidator(_synonym)]
Direction = Annotated[Literal["supports", "opposes"], BeforeValidator(_synonym)]
MetricName = Annotated[Metric, BeforeValidator(_synonym)]


def patch(intervention: str) -> tuple[Source, Base]:
    """What replaces the activations, and in which run."""
    if intervention == "denoising":
        return "clean", "corrupted"
    if intervention == "noising":
        return "corrupted", "clean"
    return ("zero" if intervention == "zero" else "resample"), "clean"
