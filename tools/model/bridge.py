"""What is used of a model: no more of TransformerLens's `TransformerBridge` than stands here."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol


class Bridge(Protocol):
    """A TransformerBridge, as far as this project knows it. Tensors are torch's, which nothing here imports."""

    cfg: Any  # n_layers, n_heads, n_key_value_heads, d_model, d_head, d_mlp, d_vocab, device, dtype, model_name
    tokenizer: Any
    original_model: Any  # transformers' model, whose weights and buffers are hashed
    adapter: Any
    embed: Any
    blocks: Any
    ln_final: Any
    unembed: Any

    @property
    def hook_dict(self) -> Mapping[str, Any]:
        """Hook points by name."""

    def __call__(self, tokens: Any, **options: Any) -> Any:
        """Logits [prompt, position, token]; None with return_type=None."""

    def run_with_cache(
        self, tokens: Any, *, names_filter: Callable[[str], bool] | list[str], **options: Any
    ) -> tuple[Any, dict[str, Any]]:
        """Logits, and the activations at the hook points that the filter takes."""

    def run_with_hooks(self, tokens: Any, **options: Any) -> Any:
        """Logits, with functions called at hook points (`fwd_hooks`)."""

    def enable_compatibility_mode(self) -> None:
        """Fold the norms into the weights, in place."""

    def parameters(self) -> Iterator[Any]:
        """All weights."""

    def modules(self) -> Iterator[Any]:
        """All parts, itself first."""

    def to(self, where: Any) -> Any:
        """The same on a device, or in a dtype."""

    def eval(self) -> Any:
        """Evaluation mode: no dropout."""
