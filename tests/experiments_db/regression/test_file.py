"""Claims as files: what is written is read back, and whatever does not fit is refused by file and field."""

from __future__ import annotations

import contextlib
import copy
import time

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lakatos.experiments_db import open_store
from lakatos.experiments_db.regression import SUFFIX, HypothesisFile, file_of, read, regressions, to_text
from lakatos.experiments_db.regression.file import MOST_BYTES, from_text
from lakatos.tools.errors import UserError


@pytest.fixture(scope="module")
def files(toy_log):
    store = open_store(str(toy_log))
    return [file_of(store, entry) for entry in regressions(store)]


@pytest.fixture(scope="module")
def fields(files):
    return yaml.safe_load(to_text(files[0]))


def changed(fields, path, value):
    """The fields with one of them replaced (or removed, for ...)."""
    whole = copy.deepcopy(fields)
    place = whole
    *way, last = path
    for key in way:
        place = place[key]
    if value is ...:
        del place[last]
    else:
        place[last] = value
    return whole


def test_every_confirmed_claim_comes_back_with_the_same_bytes(files):
    assert files
    for file in files:
        text = to_text(file)
        assert from_text(text) == file
        assert to_text(from_text(text)) == text
        assert text.startswith("# A confirmed claim")
        assert file.claim in text


def test_file_names_are_readable_and_differ(files):
    names = [file.file_name for file in files]
    assert len(set(names)) == len(names)
    assert all(name.endswith(SUFFIX) and name.isascii() and " " not in name for name in names)
    assert files[0].hash[7:15] in names[0]


def test_only_what_is_confirmed_becomes_a_file(toy_log):
    store = open_store(str(toy_log))
    other = next(e for e in store.hypotheses() if e.state != "confirmed")
    with pytest.raises(UserError, match="only what is confirmed"):
        file_of(store, other)


HASH = "sha256:" + "0" * 64


@pytest.mark.parametrize(
    ("path", "value", "named"),
    [
        (("lakatos",), 2, "lakatos: this version reads format 1"),
        (("claim",), "m1 necessary for toy (resample, logit_diff, >= 10% of gap)", "hash: is not that of this claim"),
        (("claim",), "m1 is nice", "is not a claim"),
        (("claim",), "m2 necessary for ioi (resample, logit_diff, >= 10% of gap)", "claim: is about ioi"),
        (("hash",), HASH, "hash: is not that of this claim"),
        (("hash",), "abc", "hash: "),
        (("model", "weights"), HASH, "hash: is not that of this claim, model.weights"),
        (("behaviour", "hash"), HASH, "behaviour.definition: is toy"),
        (("behaviour", "definition", "answer"), " {two}", "behaviour.definition.answer: {two}: there is no variable"),
        (("behaviour", "definition", "version"), "new", "behaviour.definition.version: "),
        (("behaviour", "definition", "version"), 99, "behaviour.definition: is toy version 99"),
        (("controls", 0, "hash"), HASH, "controls.toy_text.definition"),
        (("generator",), 2, "generator: the file is for prompt generator 2"),
        (("tolerance", 0, "lost"), 1e9, "tolerance.0: must hold"),
        (("tolerance", 0, "lost"), "half", "tolerance.0.lost"),
        (("tolerance", 0, "line"), "another", "tolerance: must have the lines effect"),
        (("battery", "lines"), [], "battery.lines"),
        (("battery", "gap"), float("nan"), "battery.gap"),
        (("battery", "control_gaps"), {"other": 1.0}, "battery: does not fit the claim"),
        (("confirmed", "n"), ..., "confirmed.n: Field required: add it"),
        (("surprise",), 1, "surprise: Extra inputs are not permitted: remove it"),
        (("alpha",), 0.0, "alpha"),
    ],
)
def test_a_field_that_does_not_fit_is_named(fields, tmp_path, path, value, named):
    target = tmp_path / f"x{SUFFIX}"
    target.write_text(yaml.safe_dump(changed(fields, path, value)))
    with pytest.raises(UserError) as raised:
        read(target)
    assert str(raised.value).startswith(f"{target}: ")
    assert named in str(raised.value)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("", "holds NoneType"),
        ("- 1", "holds list"),
        ("a: [", "is not valid YAML"),
        ("a: &x [1]\nb: *x", "holds a YAML alias"),
        ("a: !!python/object/apply:os.system ['true']", "is not valid YAML"),
        ("lakatos: 1\nclaim: 2001-02-30", "is not valid YAML"),
        ("[" * 5000, "nested more than"),
    ],
)
def test_what_is_no_such_file_is_refused(text, named):
    with pytest.raises(UserError, match=named):
        from_text(text)


def test_a_file_that_is_missing_too_large_or_not_text(tmp_path):
    with pytest.raises(UserError, match="cannot be read"):
        read(tmp_path / "none.hypothesis.yaml")
    (tmp_path / "large").write_bytes(b"#" * (MOST_BYTES + 1))
    with pytest.raises(UserError, match="more than"):
        read(tmp_path / "large")
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match="cannot be read"):
        read(tmp_path / "binary")


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    numbers=st.lists(st.floats(min_value=1e-6, max_value=1e6), min_size=3, max_size=3, unique=True),
    model=st.text(min_size=1, max_size=60),
    e=st.floats(min_value=0, max_value=1e300),
    pairs=st.integers(1, 10**9),
)
def test_any_numbers_and_any_name_survive_the_file(files, numbers, model, e, pairs):
    lost, kept, confirmed = sorted(numbers)
    file = files[0]
    main = file.tolerance[0].model_copy(
        update={"lost": lost, "kept": kept, "confirmed": confirmed, "scale": 2 * confirmed}
    )
    varied = file.model_copy(
        update={
            "tolerance": (main, *file.tolerance[1:]),
            "model": file.model.model_copy(update={"name": model}),
            "confirmed": file.confirmed.model_copy(update={"e": e}),
            "pairs": pairs,
        }
    )
    assert from_text(to_text(varied)) == varied


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_a_damaged_file_is_a_user_error_or_a_file(fields, data):
    paths = list(_paths(fields))
    path = data.draw(st.sampled_from(paths))
    junk = st.one_of(
        st.none(), st.booleans(), st.integers(), st.text(max_size=8), st.just([]), st.just({}), st.just(...)
    )
    with contextlib.suppress(UserError):
        assert isinstance(from_text(yaml.safe_dump(changed(fields, path, data.draw(junk)))), HypothesisFile)


def _paths(value, way=()):
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in items:
        yield (*way, key)
        yield from _paths(child, (*way, key))


@pytest.mark.parametrize("name", ["a\x85b", "a\u2028b", "\u2029", "two words\x85" * 20, "a\nb\x85\n"])
def test_line_breaks_that_only_yaml_knows_survive(files, name):
    varied = files[0].model_copy(update={"model": files[0].model.model_copy(update={"name": name})})
    assert from_text(to_text(varied)) == varied


@pytest.mark.parametrize("text", ["a: " + "[" * 400_000, "? " * 400_000, "- " * 400_000, "a: " + "{" * 400_000])
def test_what_is_nested_deeply_is_refused_at_once(text):
    began = time.monotonic()
    with pytest.raises(UserError, match="nested more than 50 deep"):
        from_text(text)
    assert time.monotonic() - began < 5
