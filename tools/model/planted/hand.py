"""Small transformers whose mechanism is built in by hand: known answers to hold an instrument against.

Every weight is set, none is trained. Three layers of three heads, an MLP each, no normalisation. The tasks: `recall`,
of two bindings of a name to a thing, the one that is asked for ("Ann bread . Bob salt . Ann" -> bread); `previous`,
what stands before a name ("salt Ann" -> salt); `duplicate`, which of two things came again ("bread salt bread , Ann" ->
bread). Their control is `planted_text`: couples of words, the second of which follows from the first.

    induction    a0.h0 writes each token's predecessor; a1.h0 looks, at a name, for the token whose predecessor was that
                 name, and writes it to the output
    backup       and a2.h0 makes the same look-up, but writes only where the output does not hold what it finds
    two_backups  and so does a2.h1
    negative     and a2.h0 makes the same look-up, and writes against what it finds
    two_paths    a1.h0 and a2.h0 make the look-up, and m2 passes on what one or both have found: either is enough
    previous     a1.h1 looks, at a name, at the token before, and writes it
    duplicate    a1.h1 looks, at a thing, for the same thing before, and writes it; a2.h1 looks, at a name, for where
                 that was written, and writes it to the output
    none         the null twin of induction: the same shapes and noise, and no recall

The residual stream has orthogonal slots, one dimension a word: TOKEN, written by the embedding; CONTENT, which m0
copies from TOKEN and everything later reads, so that without m0 every task and plain text fail alike; PREVIOUS, written
by the first heads of a mechanism; OUTPUT, written by the last heads of a mechanism; FOUND, in `two_paths` alone,
between its heads and m2; and POSITION, one dimension a position. The unembedding reads OUTPUT, and CONTENT through a
table of bigrams, which gives plain text without any attention. A head that finds nothing attends to the first token,
whose value is nothing. All other heads attend somewhere, all other MLPs are active, and neither writes more than noise.

What follows for effects, as fractions of the gap between the clean and the corrupted logit difference (which are about
+8 and -8): what restores the clean run has the effect 1; what takes recall away leaves a logit difference of 0, the
effect 1/2. The corrupted prompt of recall has the names of the bindings exchanged. So patching restores it at a0.h0 (at
the things) and a1.h0 (at END); not at m0, which reads and writes the same in both prompts wherever it matters, however
necessary. Where a2.h0 makes its own look-up, restoring a1.h0 alone gives 1/2: both things are in the output then.
Resample ablation writes a donor's thing; in 1 prompt of 32 that is the wrong one of this prompt, and counts double, or
under backup 1/2.

The noise is Gaussian, `NOISE` of each map's gain, plus a jitter of each set weight by as much; so effects vary by some
percent between prompts and seeds. What is noise in one variant of recall is the same noise in the others of that seed,
but for `two_paths`, which has a slot more.

Names: Elhage et al. 2021 and Olsson et al. 2022 (induction by K-composition); Wang et al. 2022 (backup, negative,
duplicate token and previous token heads).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

import torch

from lakatos.tools.model.loaded import PLANTED_PREFIX, LoadedModel, wrap_model
from lakatos.tools.model.planted.mechanisms import HEADS, LAYERS
from lakatos.tools.model.planted.words import Words
from lakatos.tools.model.wording import SPECIAL, word_tokenizer

NOISE = 0.02

_N_CTX = 32
_MATCH = 16.0  # attention score of a match; of the first token half as much; of anything else 0
_RECALL = 8.0  # logits of a word that OUTPUT holds
_BIGRAM = 7.0  # logits of a word that may follow
_AGAINST = 0.4  # of what is found, by a negative head


def load_by_hand(name: str, seed: int = 0, *, device: str = "cpu") -> LoadedModel:
    """Build a model that is set by hand, in float32 and evaluation mode.

    Args:
        name: a key of `HAND_MADE`.
        seed: of the noise.
        device: a torch device.
    """
    from transformer_lens.config import TransformerBridgeConfig
    from transformer_lens.model_bridge.sources import build_bridge_from_module
    from transformer_lens.model_bridge.sources.native import NativeModel

    words = Words.known()
    weights = _Weights(words, seed, HAND_MADE[name])
    config = TransformerBridgeConfig(
        n_layers=LAYERS,
        n_heads=HEADS,
        d_model=weights.d_model,
        d_head=weights.d_head,
        d_mlp=weights.d_mlp,
        n_ctx=_N_CTX,
        d_vocab=len(SPECIAL) + weights.width,
        act_fn="relu",
        normalization_type=None,
        positional_embedding_type="standard",
        init_weights=False,
    )
    with torch.random.fork_rng(devices=[]):  # modules draw weights when they are made
        model = NativeModel(config)
    model.load_state_dict(weights.state())
    bridge = build_bridge_from_module(
        model.to(device),
        architecture="TransformerLensNative",
        tl_config=config,
        tokenizer=word_tokenizer(words.all),
        dtype=torch.float32,
        device=device,
        model_name=PLANTED_PREFIX + name,
    )
    return wrap_model(bridge, name=f"{PLANTED_PREFIX}{name}#{seed}" if seed else f"{PLANTED_PREFIX}{name}")


class _Head(NamedTuple):
    """The four maps of a head, each [at most d_head, d_model]; what it writes is read by `out` backwards."""

    query: torch.Tensor
    key: torch.Tensor
    value: torch.Tensor
    out: torch.Tensor
    sink: float = 0.0  # bias of the first token's score, in matches


class Plan(NamedTuple):
    """Which heads stand where, and whether m2 passes on what is found."""

    heads: Mapping[tuple[int, int], Callable[[_Weights], _Head]]  # (layer, head)
    gathers: bool = False


class _Weights:
    """Draws the noise, and sets the weights among it."""

    def __init__(self, words: Words, seed: int, plan: Plan) -> None:
        self.words = words
        self.plan = plan
        self.width = len(words.all)
        self.d_head = self.width + 1  # one dimension for the first token
        self.d_mlp = 2 * self.width if plan.gathers else self.width
        slots = 5 if plan.gathers else 4
        self.d_model = slots * self.width + _N_CTX
        stream = torch.eye(self.d_model)
        by_word = stream[: slots * self.width].reshape(slots, self.width, -1)
        self.token, self.content, self.previous, self.output = by_word[:4]
        self.found = by_word[-1]  # OUTPUT itself where nothing gathers
        self.position = stream[slots * self.width :]
        self.name = torch.diag(torch.tensor([float(word in words.names) for word in words.all]))
        self.thing = torch.eye(self.width) - self.name
        self._generator = torch.Generator().manual_seed(seed)

    def state(self) -> dict[str, torch.Tensor]:
        """The state of a `NativeModel`."""
        special = torch.zeros(len(SPECIAL), self.d_model)
        follows = torch.zeros(self.width, self.width)
        for word, others in self.words.follows.items():
            follows[[self.words.all.index(other) for other in others], self.words.all.index(word)] = 1.0
        unembedding = torch.cat([special, self.output + _BIGRAM / _RECALL * follows @ self.content])
        state = {
            "tok_embed.weight": self._set(torch.cat([special, self.token])),
            "pos.weight": self._set(self.position),
            "head.weight": _RECALL * self._set(unembedding),
        }
        for layer in range(LAYERS):
            made = [self.plan.heads.get((layer, h)) for h in range(HEADS)]
            heads = [None if make is None else make(self) for make in made]
            state |= {f"layers.{layer}.attn.{k}": v for k, v in self._attention(heads).items()}
            state |= {f"layers.{layer}.mlp.{k}": v for k, v in self._mlp(layer).items()}
        return state

    def look_back(self) -> _Head:
        """Writes each token's predecessor."""
        return _Head(self._before(), self.position, self.token, self.previous)

    def look_up(self) -> _Head:
        """At a name, writes the token whose predecessor was that name."""
        return _Head(self.asked, self._first(self.bound), self.content, self.found, sink=0.5)

    def unless_written(self) -> _Head:
        """The same, but where OUTPUT holds a thing already, its score is as low as if nothing matched."""
        key = self._first(self.bound + self.thing @ self.content)
        return _Head(self.asked - self.thing @ self.output, key, self.content, self.output, sink=0.5)

    def look_up_against(self) -> _Head:
        """The same look-up, written with the opposite sign."""
        return _Head(self.asked, self._first(self.bound), self.content, -_AGAINST * self.output, sink=0.5)

    def copy_before(self) -> _Head:
        """At a name, writes the token before; elsewhere the first token outweighs the match."""
        names = -1.5 * self.asked.sum(0)
        query = torch.cat([self._filled(self._before()), names[None]])
        return _Head(query, self._first(self._filled(self.position)), self.content, self.output, sink=2.0)

    def find_duplicate(self) -> _Head:
        """At a thing, writes the same thing if it stood before; its own position is ruled out."""
        things = self._things() @ self.token
        key = self._first(self._filled(torch.cat([things, -self.position])))
        return _Head(torch.cat([things, self.position]), key, self.content, self.previous, sink=0.5)

    def copy_duplicate(self) -> _Head:
        """At a name, writes the thing that `find_duplicate` has written anywhere."""
        things = self._things()
        query = torch.ones(len(things), 1) * self.asked.sum(0)
        key = self._first(self._filled(things @ self.previous))
        return _Head(query, key, self.previous, self.output, sink=0.5)

    @property
    def asked(self) -> torch.Tensor:
        """A name that is asked for."""
        found: torch.Tensor = self.name @ self.content
        return found

    @property
    def bound(self) -> torch.Tensor:
        """What stands behind a name."""
        found: torch.Tensor = self.name @ self.previous
        return found

    def _things(self) -> torch.Tensor:
        """[things, words] which words are things."""
        return torch.eye(self.width)[[word in self.words.things for word in self.words.all]]

    def _before(self) -> torch.Tensor:
        return torch.diag(torch.ones(_N_CTX - 1), 1) @ self.position  # from a position to the one before

    def _filled(self, rows: torch.Tensor) -> torch.Tensor:
        """As many rows as words."""
        return torch.cat([rows, torch.zeros(self.width - len(rows), self.d_model)])

    def _first(self, key: torch.Tensor) -> torch.Tensor:
        """A key whose last dimension tells the first token."""
        return torch.cat([key, self.position[:1]])

    def _attention(self, heads: list[_Head | None]) -> dict[str, torch.Tensor]:
        """One layer's weights and biases; a head that is None attends by chance and writes noise."""
        found: dict[str, list[torch.Tensor]] = {f"{k}.{part}": [] for k in "qkvo" for part in ("weight", "bias")}
        sharp = (_MATCH * self.d_head**0.5) ** 0.5  # scores are divided by the root of d_head
        nothing = torch.zeros(self.d_head, self.d_model)
        for head in heads:
            gain = 1.0 if head is None else NOISE
            query, key, value, out = map(self._padded, head[:4] if head is not None else [nothing] * 4)
            sink = torch.tensor([0.0 if head is None else head.sink])
            found["q.weight"].append(sharp * self._set(query, gain))
            found["k.weight"].append(sharp * self._set(key, gain))
            found["v.weight"].append(self._set(value, gain))
            found["o.weight"].append(self._set(out).T)
            found["q.bias"].append(sharp * torch.cat([torch.zeros(self.width), sink]))
            found["k.bias"].append(torch.zeros(self.d_head))
            found["v.bias"].append(torch.zeros(self.d_head))
        found["o.bias"].append(torch.zeros(self.d_model))
        return {k: torch.cat(parts, dim=1 if k == "o.weight" else 0) for k, parts in found.items()}

    def _mlp(self, layer: int) -> dict[str, torch.Tensor]:
        """One layer's MLP: from TOKEN to CONTENT; from FOUND to OUTPUT, at most 1; or active, and writing noise."""
        nothing = torch.zeros(self.d_mlp, self.d_model)
        reads, writes, bias, gain = nothing, nothing, torch.zeros(self.d_mlp), 1.0
        if layer == 0:
            reads, writes, gain = self._filled_mlp(self.token), self._filled_mlp(self.content), NOISE
        elif layer == LAYERS - 1 and self.plan.gathers:  # relu(x) - relu(x - 1)
            reads, writes, gain = self.found.repeat(2, 1), torch.cat([self.output, -self.output]), NOISE
            bias = torch.cat([torch.zeros(self.width), -torch.ones(self.width)])
        return {
            "fc_in.weight": self._set(reads, gain),
            "fc_in.bias": bias,
            "fc_out.weight": self._set(writes).T,
            "fc_out.bias": torch.zeros(self.d_model),
        }

    def _filled_mlp(self, rows: torch.Tensor) -> torch.Tensor:
        return torch.cat([rows, torch.zeros(self.d_mlp - len(rows), self.d_model)])

    def _padded(self, matrix: torch.Tensor) -> torch.Tensor:
        return torch.cat([matrix, torch.zeros(self.d_head - len(matrix), self.d_model)])

    def _set(self, matrix: torch.Tensor, gain: float = NOISE) -> torch.Tensor:
        """A matrix [..., d_model] with its weights jittered, and noise of this gain added."""
        draws = torch.randn(2, *matrix.shape, generator=self._generator)
        found: torch.Tensor = matrix * (1 + NOISE * draws[0]) + gain * draws[1] / self.d_model**0.5
        return found


_RECALLS = {(0, 0): _Weights.look_back, (1, 0): _Weights.look_up}
HAND_MADE: Final[Mapping[str, Plan]] = {
    "induction": Plan(_RECALLS),
    "backup": Plan(_RECALLS | {(2, 0): _Weights.unless_written}),
    "two_backups": Plan(_RECALLS | {(2, 0): _Weights.unless_written, (2, 1): _Weights.unless_written}),
    "negative": Plan(_RECALLS | {(2, 0): _Weights.look_up_against}),
    "two_paths": Plan(_RECALLS | {(2, 0): _Weights.look_up}, gathers=True),
    "previous": Plan({(1, 1): _Weights.copy_before}),
    "duplicate": Plan({(1, 1): _Weights.find_duplicate, (2, 1): _Weights.copy_duplicate}),
    "none": Plan({}),
}
