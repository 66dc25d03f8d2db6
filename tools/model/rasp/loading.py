"""Booting a model that runs a program."""

from __future__ import annotations

from typing import Any

import numpy as np

from lakatos.tools.behaviour import Behaviour, load_behaviour
from lakatos.tools.errors import UserError
from lakatos.tools.model.loaded import PLANTED_PREFIX, LoadedModel, wrap_model
from lakatos.tools.model.rasp.embedding import ANSWER, N_CTX, Embedder
from lakatos.tools.model.rasp.expressions import MIXED, POSITIONS, evaluate
from lakatos.tools.model.rasp.placing import HEADS, LAYERS, Placement, placed
from lakatos.tools.model.rasp.programs import PROGRAMS, Program
from lakatos.tools.model.rasp.prompts import as_yaml, behaviour_name, make_behaviour
from lakatos.tools.model.rasp.random_programs import RANDOM, random_program
from lakatos.tools.model.rasp.stored import cached_folder, compiled_program, digest, put
from lakatos.tools.model.rasp.truth import RaspTruth, truth_of
from lakatos.tools.model.rasp.vocabulary import IGNORED, Vocabulary, vocabulary
from lakatos.tools.model.wording import SPECIAL, word_tokenizer

PREFIX = f"{PLANTED_PREFIX}rasp-"
NOISES = (1.0, 0.5, 0.25, 0.125, 0.0625, 0.03125)  # taken is the first that a program survives doubled
RIGHT = 0.995  # of random prompts: the answer's logit is as it should be, within 1, and all others far below
_TRIED = 400


def program_of(name: str) -> Program:
    """The program of a name: one of `PROGRAMS`, or `random7`, which is `random_program(7)`.

    Raises:
        UserError: there is no such program; names those that there are.
    """
    name = name.removeprefix(PREFIX)
    if name in PROGRAMS:
        return PROGRAMS[name]
    number = name.removeprefix(RANDOM)
    if name.startswith(RANDOM) and number.isdigit():
        return random_program(int(number))
    known = ", ".join(PREFIX + each for each in PROGRAMS)
    raise UserError(f"There is no RASP program {name!r}: there are {known}, and {PREFIX}{RANDOM}<number>.")


def placement_of(program: Program, seed: int = 0) -> Placement:
    """Where the parts of a program stand in the model of this seed."""
    return placed(compiled_program(program), _rng(program, seed, "places"))


def rasp_behaviour(name: str) -> Behaviour:
    """The behaviour of a program: from the package, or, of a random program, made once and kept in the cache folder.

    Raises:
        UserError: there is no such program, or no prompts can be made for it.
    """
    return load_behaviour(rasp_behaviour_source(name))


def rasp_behaviour_source(name: str) -> str:
    """What `load_behaviour` loads a program's behaviour from: a name, or the path of a file in the cache folder."""
    program = program_of(name)
    if program.name in PROGRAMS:
        return behaviour_name(program)
    path = cached_folder() / f"{behaviour_name(program)}-{digest(program)[7:19]}.yaml"
    if not path.is_file():
        put(path, as_yaml(make_behaviour(program)).encode())
    return str(path)


def load_rasp_truth(name: str, seed: int = 0) -> RaspTruth:
    """What is true of `load_rasp(name, seed)` and `rasp_behaviour(name)`; no weights are drawn for it.

    Raises:
        UserError: as `load_rasp` does.
    """
    program = program_of(name)
    return truth_of(compiled_program(program), placement_of(program, seed), rasp_behaviour(name))


def load_rasp(name: str, seed: int = 0, *, device: str = "cpu") -> LoadedModel:
    """Build a transformer that runs a RASP program, in float32 and evaluation mode.

    Args:
        name: of a program, as for `program_of`.
        seed: of where the program's parts stand, the decoys, the rotations and the noise.
        device: a torch device.

    Raises:
        UserError: there is no such program; or it is not compiled yet and Tracr is not installed.
    """
    program = program_of(name)
    compiled, words = compiled_program(program), vocabulary(program)
    placement = placement_of(program, seed)
    for noise in NOISES:
        model, config = _built(Embedder(compiled, words, _rng(program, seed, "weights"), 2 * noise), placement, words)
        if _right(model, program, words) >= RIGHT:
            model, config = _built(Embedder(compiled, words, _rng(program, seed, "weights"), noise), placement, words)
            break
    else:
        raise UserError(
            f"{PREFIX}{program.name}#{seed}: the program does not survive its embedding; take another seed."
        )
    from transformer_lens.model_bridge.sources import build_bridge_from_module

    bridge = build_bridge_from_module(
        model.to(device),
        architecture="TransformerLensNative",
        tl_config=config,
        tokenizer=word_tokenizer(words.words),
        dtype=next(model.parameters()).dtype,
        device=device,
        model_name=PREFIX + program.name,
    )
    return wrap_model(bridge, name=f"{PREFIX}{program.name}#{seed}" if seed else f"{PREFIX}{program.name}")


def _built(embedder: Embedder, placement: Placement, words: Vocabulary) -> tuple[Any, Any]:
    """A `NativeModel` and its configuration."""
    import torch
    from transformer_lens.config import TransformerBridgeConfig
    from transformer_lens.model_bridge.sources.native import NativeModel

    config = TransformerBridgeConfig(
        n_layers=LAYERS,
        n_heads=HEADS,
        d_model=embedder.sizes.d_model,
        d_head=embedder.sizes.d_head,
        d_mlp=embedder.sizes.d_mlp,
        n_ctx=N_CTX,
        d_vocab=len(SPECIAL) + len(words.words),
        act_fn="relu",
        normalization_type=None,
        positional_embedding_type="standard",
        init_weights=False,
    )
    with torch.random.fork_rng(devices=[]):  # modules draw weights when they are made
        model = NativeModel(config)
    state = embedder.weights(placement)
    model.load_state_dict({key: torch.tensor(value, dtype=torch.float32) for key, value in state.items()})
    return model.eval(), config


def _right(model: Any, program: Program, words: Vocabulary) -> float:
    """Of random rows of words with an answer, the share that the model gets right, with logits as they should be."""
    import torch

    rng = np.random.default_rng(0)
    number = {word: len(SPECIAL) + i for i, word in enumerate(words.words)}
    ignored = IGNORED["exploration"]
    rows, ends, wanted = [], [], []
    for i in range(_TRIED):  # every other row has words that are ignored
        symbols = rng.choice([*program.alphabet, *ignored[: i % 2]], rng.integers(6, POSITIONS)).tolist()
        symbols[-1] = str(rng.choice(program.alphabet))
        answer = evaluate(program.expression, [s if s in program.alphabet else None for s in symbols])[-1]
        if answer not in (None, MIXED):
            rows.append([0, *(number[symbol] for symbol in symbols), *[0] * (POSITIONS - len(symbols))])
            ends.append(len(symbols))
            wanted.append(number[program.word(answer)])
    if not rows:
        return 0.0
    with torch.no_grad():
        logits = model(torch.tensor(rows))[torch.arange(len(rows)), torch.tensor(ends)]  # nothing looks ahead
    answers = torch.tensor(wanted)[:, None]
    said = logits.gather(1, answers)[:, 0]
    margin = said - logits.scatter(1, answers, -torch.inf).max(1).values
    return float(((said - ANSWER).abs().le(1) & margin.gt(ANSWER - 2)).float().mean())


def _rng(program: Program, seed: int, purpose: str) -> np.random.Generator:
    return np.random.default_rng([seed, *f"{program.name} {purpose}".encode()])
