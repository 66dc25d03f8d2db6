"""What later components write once one is missing, on models whose backup is built in, and against plain hooks."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from models import TOY, tiny

from lakatos.tools.behaviour import draw_donors, load_behaviour
from lakatos.tools.component import Component
from lakatos.tools.exploration import stepping_in
from lakatos.tools.model.planted import RECALL as BEHAVIOUR
from lakatos.tools.model.planted import load_planted


def found(model, missing, n=12):
    behaviour = load_behaviour(BEHAVIOUR)
    pairs = behaviour.sample(n, 1, "exploration")
    donors = draw_donors(behaviour, pairs, model.tokenizer, 2)
    return stepping_in(model.bridge, pairs, donors, [Component.parse(text) for text in missing])


def test_the_backup_writes_what_is_missing_and_nobody_else_does():
    (growth,) = found(load_planted("backup"), ["a1.h0"])
    first, second = sorted(growth.values(), reverse=True)[:2]
    assert max(growth, key=lambda c: growth[c]) == Component(2, "head", 0)
    assert first > 6  # of about 8 logits
    assert abs(second) < 0.5


def test_where_there_is_no_backup_nothing_grows():
    (growth,) = found(load_planted("induction"), ["a1.h0"])
    assert max(growth.values()) < 0.5


def test_only_later_layers_are_named_and_each_missing_component_has_its_own():
    early, late = found(load_planted("backup"), ["a0.h0", "m1"])
    assert {c.layer for c in early} == {1, 2}
    assert {c.layer for c in late} == {2}


@pytest.mark.parametrize("missing", [Component(0, "head", 1), Component(0, "mlp")])
def test_it_is_the_change_of_the_write_along_the_gradient(missing):
    model = tiny("llama")
    bridge = model.bridge
    pairs = TOY.sample(3, 1, "exploration")
    donors = draw_donors(TOY, pairs, model.tokenizer, 2)
    (growth,) = stepping_in(bridge, pairs, donors, [missing])
    sums = dict.fromkeys(growth, 0.0)
    for pair, donor in zip(pairs, donors, strict=True):
        tokens, other = (torch.tensor([model.tokenizer(p.clean)["input_ids"]]) for p in (pair, donor))
        answer, wrong = (model.tokenizer(t)["input_ids"][-1] for t in (pair.answer, pair.wrong))
        sums = {c: sums[c] + value for c, value in by_hand(bridge, tokens, other, answer, wrong, missing).items()}
    for component, value in growth.items():
        assert value == pytest.approx(sums[component] / len(pairs), abs=1e-4), component


def by_hand(bridge, tokens, other, answer, wrong, missing):
    """One prompt, hooks of TransformerLens, every head's write made with its slice of W_O."""
    name = missing.hook_name(bridge.cfg.n_layers)
    _, there = bridge.run_with_cache(other)

    def put(activation, hook):
        changed = activation.clone()
        if missing.kind == "head":
            d = bridge.cfg.d_head
            flat, source = changed.reshape(*changed.shape[:2], -1), there[name].reshape(*changed.shape[:2], -1)
            flat[..., d * missing.index : d * missing.index + d] = source[
                ..., d * missing.index : d * missing.index + d
            ]
            return flat.reshape(activation.shape)
        return there[name]

    _, clean = bridge.run_with_cache(tokens)
    with bridge.hooks(fwd_hooks=[(name, put)]):
        _, ablated = bridge.run_with_cache(tokens)
    final = clean[f"blocks.{bridge.cfg.n_layers - 1}.hook_resid_post"][:, -1:].detach().requires_grad_()
    logits = bridge.unembed(bridge.ln_final(final))[0, 0]
    (direction,) = torch.autograd.grad(logits[answer] - logits[wrong], final)
    found = {}
    for layer in range(missing.layer + 1, bridge.cfg.n_layers):
        z = f"blocks.{layer}.attn.hook_z"
        change = (ablated[z] - clean[z])[0, -1].reshape(bridge.cfg.n_heads, -1)
        for head in range(bridge.cfg.n_heads):
            write = change[head] @ bridge.blocks[layer].attn.W_O[head]
            found[Component(layer, "head", head)] = float((write @ direction[0, 0]).detach())
        out = f"blocks.{layer}.hook_mlp_out"
        found[Component(layer, "mlp")] = float((ablated[out] - clean[out])[0, -1] @ direction[0, 0])
    return {component: np.float64(value) for component, value in found.items()}
