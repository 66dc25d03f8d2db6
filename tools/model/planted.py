"""Small transformers whose mechanism is built in by hand: known answers to hold an instrument against.

Every weight is set, none is trained. The task is `planted_recall`: of two bindings of a name to a thing, recall the one
that is asked for ("Ann bread . Bob salt . Ann" -> bread). The control is `planted_text`: couples of words, the second
of which follows from the first.

    planted:induction  a0.h0 writes each token's predecessor; a1.h0 looks, at a name, for the token whose predecessor
                       was that name, and writes it to the output
    planted:backup     and a2.h0 makes the same look-up, but writes only where the output does not hold what it finds
    planted:none       the null twin: the same shapes and noise, and no recall

Three layers of three heads, an MLP each, no normalisation. The residual stream has orthogonal slots, one dimension a
word: TOKEN, written by the embedding; CONTENT, which m0 copies from TOKEN and everything later reads, so that without
m0 recall and plain text fail alike; PREVIOUS, written by a0.h0 from TOKEN; OUTPUT, written by a1.h0 and a2.h0 from
CONTENT; and POSITION, one dimension a position. The unembedding reads OUTPUT, and CONTENT through a table of bigrams,
which gives plain text without any attention. A head that finds nothing attends to the first token, whose value is
nothing. All other heads attend somewhere, all other MLPs are active, and neither writes more than noise.

What follows for effects, as fractions of the gap between the clean and the corrupted logit difference (which are about
+8 and -8): what restores the clean run has the effect 1; what takes recall away leaves a logit difference of 0, the
effect 1/2. The corrupted prompt has the names of the bindings exchanged. So patching restores it at a0.h0 (at the
things) and a1.h0 (at END); not at m0, which reads and writes the same in both prompts wherever it matters, however
necessary. Where a2.h0 makes its own look-up, restoring a1.h0 alone gives 1/2: both things are in the output then.
Resample ablation writes a donor's thing; in 1 prompt of 32 that is the wrong one of this prompt, and counts double, or
under backup 1/2.

The noise is Gaussian, `NOISE` of each map's gain, plus a jitter of each set weight by as much; so effects vary by some
percent between prompts and seeds. What is noise in one variant is the same noise in the others of that seed.

Names: Elhage et al. 2021 and Olsson et al. 2022 (induction by K-composition); Wang et al. 2022 (backup heads).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Any, NamedTuple

import torch

from lakatos.tools.behaviour import SPLITS, Behaviour, load_behaviour, parse_markup
from lakatos.tools.errors import UserError
from lakatos.tools.model.loaded import PLANTED_PREFIX, LoadedModel, wrap_model

BEHAVIOUR, CONTROL = "planted_recall", "planted_text"
LAYERS, HEADS = 3, 3
NOISE = 0.02

_N_CTX = 32
_SPECIAL = ("<s>", "<pad>", "<unk>")
_MATCH = 16.0  # attention score of a match; of the first token half as much; of anything else 0
_RECALL = 8.0  # logits of a word that OUTPUT holds
_BIGRAM = 7.0  # logits of a word that may follow


class Mechanism(NamedTuple):
    """What is true of a planted model by construction. Components as text; heads and MLPs only."""

    necessary: tuple[str, ...]  # ablated (resample), recall fails, and plain text does not suffer
    non_specific: tuple[str, ...]  # ablated, plain text fails; and so does recall, where there is any
    backed_up: tuple[tuple[str, str], ...]  # (component, backup): ablated, another makes up for it
    backups: tuple[str, ...]  # ablated alone, nothing happens; together with what they back up, recall fails
    inert: tuple[str, ...]  # whatever is done to them, nothing happens
    composition: tuple[tuple[str, str], ...]  # (sender, receiver): the paths by which a head reads another
    circuit: tuple[str, ...]  # a smallest set that recalls when all else is replaced


def _mechanism(active: tuple[str, ...], **truth: tuple[Any, ...]) -> Mechanism:
    places = [*(f"a{layer}.h{head}" for layer in range(LAYERS) for head in range(HEADS))]
    places += [f"m{layer}" for layer in range(LAYERS)]
    none = dict.fromkeys(Mechanism._fields, ())
    return Mechanism(**{**none, **truth, "inert": tuple(place for place in places if place not in active)})


MECHANISMS = {
    "induction": _mechanism(
        ("a0.h0", "m0", "a1.h0"),
        necessary=("a0.h0", "a1.h0"),
        non_specific=("m0",),
        composition=(("a0.h0", "a1.g0.k"),),
        circuit=("a0.h0", "m0", "a1.h0"),
    ),
    "backup": _mechanism(
        ("a0.h0", "m0", "a1.h0", "a2.h0"),
        necessary=("a0.h0",),
        non_specific=("m0",),
        backed_up=(("a1.h0", "a2.h0"),),
        backups=("a2.h0",),
        composition=(("a0.h0", "a1.g0.k"), ("a0.h0", "a2.g0.k"), ("a1.h0", "a2.h0.q")),
        circuit=("a0.h0", "m0", "a1.h0"),
    ),
    "none": _mechanism(("m0",), non_specific=("m0",)),
}


def load_planted(name: str, seed: int = 0, *, device: str = "cpu") -> LoadedModel:
    """Build a planted model, in float32 and evaluation mode.

    Args:
        name: a key of `MECHANISMS`, with or without `planted:` before it.
        seed: of the noise.
        device: a torch device.

    Raises:
        UserError: there is no such model; names those that there are.
    """
    from transformer_lens.config import TransformerBridgeConfig
    from transformer_lens.model_bridge.sources import build_bridge_from_module
    from transformer_lens.model_bridge.sources.native import NativeModel

    name = name.removeprefix(PLANTED_PREFIX)
    if name not in MECHANISMS:
        known = ", ".join(PLANTED_PREFIX + each for each in MECHANISMS)
        raise UserError(f"There is no planted model {name!r}: there are {known}.")
    words = _Words.of(load_behaviour(BEHAVIOUR), load_behaviour(CONTROL))
    width = len(words.all)
    config = TransformerBridgeConfig(
        n_layers=LAYERS,
        n_heads=HEADS,
        d_model=4 * width + _N_CTX,
        d_head=width + 1,  # one dimension for the first token
        d_mlp=width,
        n_ctx=_N_CTX,
        d_vocab=len(_SPECIAL) + width,
        act_fn="relu",
        normalization_type=None,
        positional_embedding_type="standard",
        init_weights=False,
    )
    with torch.random.fork_rng(devices=[]):  # modules draw weights when they are made
        model = NativeModel(config)
    model.load_state_dict(_Weights(words, seed).of(MECHANISMS[name]))
    bridge = build_bridge_from_module(
        model.to(device),
        architecture="TransformerLensNative",
        tl_config=config,
        tokenizer=_tokenizer(words),
        dtype=torch.float32,
        device=device,
        model_name=PLANTED_PREFIX + name,
    )
    return wrap_model(bridge, name=f"{PLANTED_PREFIX}{name}#{seed}" if seed else f"{PLANTED_PREFIX}{name}")


@dataclass(frozen=True)
class _Words:
    """The vocabulary, read off the behaviours' files."""

    all: tuple[str, ...]
    names: frozenset[str]  # what is looked up
    follows: dict[str, frozenset[str]]  # plain text's bigrams

    @classmethod
    def of(cls, recall: Behaviour, text: Behaviour) -> _Words:
        couples = [tuple(couple.split()) for couple in _fillers(text, "couple")]
        joints = frozenset(_literals(text))
        follows = {first: frozenset([second]) for first, second in couples}
        follows |= {second: joints for _, second in couples}
        follows |= dict.fromkeys(joints, frozenset(first for first, _ in couples))
        names = frozenset(_fillers(recall, "name"))
        found = {*names, *_fillers(recall, "thing"), *_literals(recall), *follows}
        return cls(tuple(sorted(found)), names, follows)


def _fillers(behaviour: Behaviour, kind: str) -> list[str]:
    return [str(filler) for split in SPLITS for filler in behaviour.fillers[kind].of(split)]


def _literals(behaviour: Behaviour) -> Iterator[str]:
    """The words of templates that are not filled in."""
    for text in chain.from_iterable(behaviour.texts(split).values() for split in SPLITS):
        yield from chain.from_iterable(p.value.split() for p in parse_markup(text).pieces if p.kind == "text")


def _tokenizer(words: _Words) -> Any:
    """A word is a token, with or without a space before it."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace
    from transformers import PreTrainedTokenizerFast

    start, padding, unknown = _SPECIAL
    known = {word: i for i, word in enumerate((*_SPECIAL, *words.all))}
    tokenizer = Tokenizer(WordLevel(known, unk_token=unknown))
    tokenizer.pre_tokenizer = Whitespace()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=start,
        eos_token=start,
        pad_token=padding,
        unk_token=unknown,
        name_or_path="planted",  # with this and the next, TransformerLens does not look for it on the hub
        add_bos_token=True,
    )


class _Head(NamedTuple):
    """The four maps of a head, each [d_head, d_model]; what it writes is read by `out` backwards."""

    query: torch.Tensor
    key: torch.Tensor
    value: torch.Tensor
    out: torch.Tensor


class _Weights:
    """Draws the noise, and sets the weights among it."""

    def __init__(self, words: _Words, seed: int) -> None:
        self.words = words
        self.width = len(words.all)
        self.d_head = self.width + 1
        self.d_model = 4 * self.width + _N_CTX
        stream = torch.eye(self.d_model)
        self.token, self.content, self.previous, self.output = stream[: 4 * self.width].reshape(4, self.width, -1)
        self.position = stream[4 * self.width :]
        self._generator = torch.Generator().manual_seed(seed)

    def of(self, mechanism: Mechanism) -> dict[str, torch.Tensor]:
        """The state of a `NativeModel`."""
        heads = self._heads()
        special = torch.zeros(len(_SPECIAL), self.d_model)
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
            planted = [None if f"a{layer}.h{h}" in mechanism.inert else heads[layer, h] for h in range(HEADS)]
            state |= {f"layers.{layer}.attn.{k}": v for k, v in self._attention(planted).items()}
            state |= {f"layers.{layer}.mlp.{k}": v for k, v in self._mlp(relays=layer == 0).items()}
        return state

    def _heads(self) -> dict[tuple[int, int], _Head]:
        name = torch.diag(torch.tensor([float(word in self.words.names) for word in self.words.all]))
        thing = torch.eye(self.width) - name
        back = torch.diag(torch.ones(_N_CTX - 1), 1)  # from a position to the one before
        look_back = _Head(back @ self.position, self.position, self.token, self.previous)
        asked, bound = name @ self.content, name @ self.previous
        look_up = _Head(asked, self._first(bound), self.content, self.output)
        # of a thing that OUTPUT holds already, the score is as low as if nothing matched
        unless_written = _Head(
            asked - thing @ self.output, self._first(bound + thing @ self.content), self.content, self.output
        )
        return {(0, 0): look_back, (1, 0): look_up, (2, 0): unless_written}

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
            query, key, value, out = map(self._padded, head or [nothing] * 4)
            sink = 0.5 * key[-1].any()
            found["q.weight"].append(sharp * self._set(query, gain))
            found["k.weight"].append(sharp * self._set(key, gain))
            found["v.weight"].append(self._set(value, gain))
            found["o.weight"].append(self._set(out).T)
            found["q.bias"].append(sharp * torch.cat([torch.zeros(self.width), sink[None]]))
            found["k.bias"].append(torch.zeros(self.d_head))
            found["v.bias"].append(torch.zeros(self.d_head))
        found["o.bias"].append(torch.zeros(self.d_model))
        return {k: torch.cat(parts, dim=1 if k == "o.weight" else 0) for k, parts in found.items()}

    def _mlp(self, relays: bool) -> dict[str, torch.Tensor]:
        """One layer's MLP: a neuron a word, from TOKEN to CONTENT; or one that is active and writes noise."""
        nothing = torch.zeros(self.width, self.d_model)
        return {
            "fc_in.weight": self._set(self.token) if relays else self._set(nothing, gain=1.0),
            "fc_in.bias": torch.zeros(self.width),
            "fc_out.weight": self._set(self.content if relays else nothing).T,
            "fc_out.bias": torch.zeros(self.d_model),
        }

    def _padded(self, matrix: torch.Tensor) -> torch.Tensor:
        return torch.cat([matrix, torch.zeros(self.d_head - len(matrix), self.d_model)])

    def _set(self, matrix: torch.Tensor, gain: float = NOISE) -> torch.Tensor:
        """A matrix [..., d_model] with its weights jittered, and noise of this gain added."""
        draws = torch.randn(2, *matrix.shape, generator=self._generator)
        found: torch.Tensor = matrix * (1 + NOISE * draws[0]) + gain * draws[1] / self.d_model**0.5
        return found
