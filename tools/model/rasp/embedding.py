"""A compiled program as a part of a larger transformer that does more than it needs.

The residual stream, before it is turned: the compiled program's directions; one for each word (IDENTITY) and each
position, which the embedding writes; and JUNK, which nothing that matters reads. The unembedding reads the program's
answer, and IDENTITY through the bigrams of plain text.

DECOYS fill all heads and MLPs that the program does not need: their heads attend by word, position and junk, or as
heads of programs do, some tokens back or to the same word; their neurons are active; they write to JUNK. The neurons
of a program's MLP that it leaves over are decoys too, and so are the values that its heads leave over.

Then nothing is to be seen in the weights as they stand: the residual stream is turned by a random orthogonal matrix,
so are each head's queries with keys, and values with outputs, and neurons are permuted and scaled; all of it leaves
what is computed as it is. The noise comes before: `NOISE` of each map's gain, `JITTER` of each set weight; less of
both where several positions are weighed against one another (`FINE`) or numbers are told apart (`FINEST`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lakatos.tools.model.rasp.compiling import SCORE, START, Compiled, CompiledHead, CompiledMlp, Direction
from lakatos.tools.model.rasp.expressions import INDICES, POSITIONS, TOKENS, Indices, Tokens, Value, operations
from lakatos.tools.model.rasp.placing import HEADS, LAYERS, Placement
from lakatos.tools.model.rasp.structure import output_directions
from lakatos.tools.model.rasp.vocabulary import Vocabulary
from lakatos.tools.model.wording import SPECIAL

Floats = NDArray[np.float64]
N_CTX = POSITIONS + 1
NOISE = 0.003  # added to every weight, of its map's gain
JITTER = 0.002  # of every set weight, of itself
FINE = 0.05  # of both, where a head weighs several positions against one another
FINEST = 0.01  # of both, where an MLP tells numbers apart by steep steps

ANSWER = 8.0  # logits of the word that the program's answer is
_BIGRAM = 10.0  # logits of a word that may follow in plain text
_MATCH, _MATCH_OF_MANY = 16.0, 4.5  # attention score of a match; where a head averages
_NUMBER = 8.0  # how much larger a number is written than Tracr writes it
_RESTLESS = 3.0  # standard deviation of a decoy's attention scores
_LESS = 0.2  # how much a decoy reads of junk, of a word or position 1
_WRITTEN = 0.15  # of what a decoy head attends to, so that it writes about 1

_JUNK = 32  # dimensions
_D_HEAD, _D_MLP = 20, 160  # at least
_SPARE_VALUES, _SPARE_NEURONS = 4, 16  # that are decoys, in each of the program's heads and MLPs


class Sizes(NamedTuple):
    d_model: int
    d_head: int
    d_mlp: int


class _Head(NamedTuple):
    """Four maps, each [d_head, d_model]; what is written is read by `out` backwards."""

    query: Floats
    key: Floats
    value: Floats
    out: Floats


class Embedder:
    """Draws a transformer around a compiled program.

    Args:
        rng: of all that is random.
        noise: how much of the noise there is.
    """

    def __init__(
        self, compiled: Compiled, vocabulary: Vocabulary, rng: np.random.Generator, noise: float = 1.0
    ) -> None:
        self._compiled, self._vocabulary, self._rng, self._noise = compiled, vocabulary, rng, noise
        own, words = len(compiled.directions), len(vocabulary.words) + 1  # the first token has an identity as well
        widest = max((max(map(len, _inner(head))) for head in compiled.heads), default=0)
        neurons = max((mlp.read.shape[1] for mlp in compiled.mlps), default=0)
        self.sizes = Sizes(
            own + words + N_CTX + _JUNK, max(widest + _SPARE_VALUES, _D_HEAD), max(neurons + _SPARE_NEURONS, _D_MLP)
        )
        stream = np.eye(self.sizes.d_model)
        self._own, self._identity, self._position, self._junk = np.split(stream, np.cumsum([own, words, N_CTX]))
        self._scale = np.array([_NUMBER if d.value is None else 1.0 for d in compiled.directions])

    def weights(self, placement: Placement) -> dict[str, Floats]:
        """The state of a `NativeModel`."""
        turn = _rotation(self.sizes.d_model, self._rng)
        state = {
            "tok_embed.weight": self._noisy(self._embedding()) @ turn,
            "pos.weight": self._noisy(self._positions()) @ turn,
            "head.weight": ANSWER * self._noisy(self._unembedding()) @ turn,
        }
        count = len(self._compiled.heads)
        places = list(zip(placement.layers, placement.heads, strict=True))
        heads = dict(zip(places[:count], self._compiled.heads, strict=True))
        mlps = dict(zip(placement.layers[count:], self._compiled.mlps, strict=True))
        for layer in range(LAYERS):
            attention = self._attention([heads.get((layer, head)) for head in range(HEADS)], turn)
            state |= {f"layers.{layer}.attn.{key}": value for key, value in attention.items()}
            state |= {f"layers.{layer}.mlp.{key}": value for key, value in self._mlp(mlps.get(layer), turn).items()}
        return state

    def _embedding(self) -> Floats:
        found = np.zeros((len(SPECIAL) + len(self._vocabulary.words), self.sizes.d_model))
        found[0] = self._identity[-1] + self._direction(TOKENS, START)
        for row, word in enumerate(self._vocabulary.words):
            found[len(SPECIAL) + row] = self._identity[row] + self._direction(TOKENS, word)
        directions = self._compiled.directions
        found += self._own[[d.operation < 0 for d in directions]].sum(0)
        return found

    def _positions(self) -> Floats:
        return np.stack([row + self._direction(INDICES, i - 1) for i, row in enumerate(self._position)])

    def _unembedding(self) -> Floats:
        words = self._vocabulary.words
        found = np.zeros((len(SPECIAL) + len(words), self.sizes.d_model))
        program = self._compiled.program
        for place in output_directions(self._compiled):
            value = self._compiled.directions[place].value
            assert value is not None  # as output_directions says
            found[len(SPECIAL) + words.index(program.word(value))] += self._own[place]
        for word, seconds in self._vocabulary.follows.items():
            rows = [len(SPECIAL) + words.index(second) for second in seconds]
            found[rows] += _BIGRAM / ANSWER * self._identity[words.index(word)]
        return found

    def _direction(self, sop: Tokens | Indices, value: Value) -> Floats:
        """The direction of an input's value; nothing where the program has no such input or value."""
        program = operations(self._compiled.program.expression)
        wanted = [Direction(program.index(sop), value)] if sop in program else []
        found: Floats = self._own[[direction in wanted for direction in self._compiled.directions]].sum(0)
        return found

    def _attention(self, heads: Sequence[CompiledHead | None], turn: Floats) -> dict[str, Floats]:
        """One layer; a head that is None is a decoy."""
        found: dict[str, list[Floats]] = {f"{k}.{part}": [] for k in "qkv" for part in ("weight", "bias")}
        outs = []
        for head in heads:
            maps, level = (self._decoy_head(), 1.0) if head is None else self._program_head(head)
            sharp = (_MATCH * self.sizes.d_head**0.5) ** 0.5
            gains = (sharp, sharp, 1.0, 1.0)
            query, key, value, out = (self._noisy(m, g, level) for m, g in zip(maps, gains, strict=True))
            among, within = (_rotation(self.sizes.d_head, self._rng) for _ in range(2))
            rotated = {"q": among @ query, "k": among @ key, "v": within @ value}
            for (name, matrix), gain in zip(rotated.items(), gains, strict=False):
                found[f"{name}.weight"].append(matrix @ turn)
                found[f"{name}.bias"].append(self._noisy(np.zeros(len(matrix)), gain, level))
            outs.append(within @ out @ turn)
        state = {name: np.concatenate(parts) for name, parts in found.items()}
        return state | {"o.weight": np.concatenate(outs).T, "o.bias": self._noisy(np.zeros(self.sizes.d_model))}

    def _program_head(self, head: CompiledHead) -> tuple[_Head, float]:
        """A head's maps, and how much of the noise it bears."""
        keys, values = _inner(head)
        match = _MATCH_OF_MANY if head.averages else _MATCH
        sharp = (match * self.sizes.d_head**0.5) ** 0.5  # scores are divided by the root of d_head
        maps = _Head(
            sharp * (head.query_key[:, keys] / SCORE).T @ self._own,
            sharp * self._own[keys],
            self._own[values],
            (head.value_output[values] * self._scale) @ self._own,
        )
        decoy = self._decoy_head()
        spare = self.sizes.d_head - len(values)
        query, key = (np.pad(m, ((0, self.sizes.d_head - len(m)), (0, 0))) for m in maps[:2])
        value, out = (np.concatenate([m, junk[:spare]]) for m, junk in zip(maps[2:], decoy[2:], strict=True))
        return _Head(query, key, value, out), FINE if head.averages else 1.0

    def _decoy_head(self) -> _Head:
        """A head that attends restlessly, a fixed number of tokens back, or to the same word."""
        size, sharp = self.sizes.d_head, (_MATCH * self.sizes.d_head**0.5) ** 0.5
        style = self._rng.choice(["restless", "back", "same"], p=[0.5, 0.3, 0.2])
        if style == "restless":
            query, key = ((_RESTLESS / 2) ** 0.5 * self._restless(size) for _ in range(2))
        elif style == "back":
            key = sharp * np.pad(self._position, ((0, size - N_CTX), (0, 0)))
            query = np.zeros_like(key)
            back = int(self._rng.integers(1, 4))
            query[: N_CTX - back] = sharp * self._position[back:]
        else:
            key = sharp * self._rng.standard_normal((size, len(self._identity))) @ self._identity / size**0.5
            query = key.copy()
        out = self._rng.standard_normal((size, _JUNK)) @ self._junk / _JUNK**0.5
        return _Head(query, key, self._restless(size) / 2**0.5, _WRITTEN * out)

    def _restless(self, rows: int) -> Floats:
        """[rows, d_model]: maps that read words, positions and, less, junk."""
        seen = np.concatenate([self._identity, self._position, _LESS * self._junk])
        found: Floats = self._rng.standard_normal((rows, len(seen))) @ seen
        return found

    def _mlp(self, mlp: CompiledMlp | None, turn: Floats) -> dict[str, Floats]:
        """One layer; an MLP that is None is a decoy."""
        neurons = 0 if mlp is None else mlp.read.shape[1]
        read = self._restless(self.sizes.d_mlp) / 2**0.5
        write = self._rng.standard_normal((self.sizes.d_mlp, _JUNK)) @ self._junk / (_JUNK * self.sizes.d_mlp) ** 0.5
        level = np.ones((self.sizes.d_mlp, 1))
        if mlp is not None:
            read[:neurons] = (mlp.read.T / self._scale) @ self._own
            write[:neurons] = (mlp.write * self._scale) @ self._own
            if mlp.read[self._scale > 1].any():
                level[:neurons] = FINEST
        sizes = [np.linalg.norm(m, axis=1, keepdims=True) for m in (read, write)]
        balance = (sizes[1] / sizes[0]) ** 0.5 * self._rng.uniform(0.7, 1.4, (self.sizes.d_mlp, 1))
        order = self._rng.permutation(self.sizes.d_mlp)
        read, write = (self._noisy(m, 1.0, level)[order] for m in (read * balance, write / balance))
        return {
            "fc_in.weight": read @ turn,
            "fc_in.bias": self._noisy(np.zeros(self.sizes.d_mlp), 1.0, level[:, 0])[order],
            "fc_out.weight": (write @ turn).T,
            "fc_out.bias": self._noisy(np.zeros(self.sizes.d_model)),
        }

    def _noisy(self, matrix: Floats, gain: float = 1.0, level: float | Floats = 1.0) -> Floats:
        """A matrix with its weights jittered and noise added.

        Args:
            level: how much of the noise, of all or of each row.
        """
        jitter, added = self._rng.standard_normal((2, *matrix.shape))
        noise: Floats = (
            level * self._noise * (JITTER * matrix * jitter + NOISE * gain * added / self.sizes.d_model**0.5)
        )
        return matrix + noise


def _inner(head: CompiledHead) -> tuple[list[int], list[int]]:
    """The directions that a head's keys and values read, each of which takes one dimension in it."""
    keys, values = head.query_key.any(axis=0), head.value_output.any(axis=1)
    return np.nonzero(keys)[0].tolist(), np.nonzero(values)[0].tolist()


def _rotation(size: int, rng: np.random.Generator) -> Floats:
    """A random orthogonal matrix, any as likely (Mezzadri 2007)."""
    q, r = np.linalg.qr(rng.standard_normal((size, size)))
    found: Floats = q * np.sign(np.diagonal(r))
    return found
