"""`lakatos review`, `assess` and `reviews` as they are typed."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from commands import lakatos_here

LAKATOS = str(Path(sys.executable).with_name("lakatos"))


def lakatos(*arguments, status=0):
    found, out, err = lakatos_here(*arguments, env={"COLUMNS": "140"})
    assert found == status, out + err
    return out if status == 0 else err


@contextlib.contextmanager
def serving(*arguments):
    """A running `lakatos review`: what it said until it gave its address, and the address."""
    with subprocess.Popen(
        [LAKATOS, "review", "--port", "0", *map(str, arguments)], stderr=subprocess.PIPE, text=True
    ) as site:
        try:
            said = ""
            while "Review site:" not in said:
                line = site.stderr.readline()
                assert line, said
                said += line
            yield said, re.search(r"http://\S+", said)[0]
        finally:
            site.terminate()


def test_the_site_is_served_on_this_machine_and_opens_at_a_hypothesis(toy_copy, monkeypatch):
    monkeypatch.setenv("BROWSER", "true")
    with serving("--db", toy_copy, "--open", "2") as (said, address):
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/hypotheses/2", address)
        assert "token" not in said
        assert "Hypothesis 2" in urllib.request.urlopen(address).read().decode()


def test_for_others_it_prints_an_address_with_a_token(toy_copy, monkeypatch):
    with serving("--db", toy_copy, "--host", "0.0.0.0") as (said, address):
        assert "unencrypted" in said
        port = re.search(r":(\d+)/", address)[1]
        with pytest.raises(urllib.error.HTTPError, match="401"):
            urllib.request.urlopen(f"http://127.0.0.1:{port}/")
        token = address.rpartition("token=")[2]
        asked = urllib.request.Request(f"http://127.0.0.1:{port}/", headers={"Authorization": f"Bearer {token}"})
        assert urllib.request.urlopen(asked).status == 200
    monkeypatch.setenv("LAKATOS_TOKEN", "of my own")
    with serving("--db", toy_copy, "--host", "0.0.0.0") as (said, _):
        assert "of my own" not in said.replace("token=of my own", ""), "said once, in the address"


def test_a_port_that_is_taken_is_said_with_the_cure(toy_copy):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        said = lakatos("review", "--db", toy_copy, "--port", port, status=2)
    assert f"Cannot listen on 127.0.0.1:{port}" in said
    assert "--port" in said


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("review", "--open", "999"), "There is no hypothesis '999'"),
        (("review", "--host", "no.such.host.invalid"), "Cannot listen on"),
        (("assess", "1", "accept"), "Say why"),
        (("assess", "1", "approve", "--reason", "r"), "There is no decision 'approve'"),
        (("assess", "1", "score"), "A score is a whole number"),
        (("assess", "999", "accept", "--reason", "r"), "There is no hypothesis '999'"),
    ],
)
def test_what_cannot_be_done_is_said(toy_copy, arguments, said):
    assert said in lakatos(*arguments, "--db", toy_copy, status=2).replace("\n", " ")


def test_reviews_from_the_command_line(toy_copy):
    db = ("--db", toy_copy)
    row = json.loads(lakatos("assess", "1", "score", "--score", "4", "--author", "Ada", "--json", *db))
    assert (row["author"], row["decision"], row["score"], row["blind"]) == ("Ada", "score", 4, False)
    assert "reviewers: accepted" in lakatos("assess", "1", "accept", "--reason", "fine", "--author", "Ada", *db)
    lakatos("assess", "1", "dispute", "--reason", "[red]\x1b[31mno", "--author", "Bob", *db)
    document = json.loads(lakatos("reviews", "--json", *db))
    assert [r["decision"] for r in document["reviews"]] == ["score", "accept", "dispute"]
    assert document["agreement"] == [{"first": "Ada", "second": "Bob", "both": 1, "agreed": 0, "kappa": 0.0}]
    text = lakatos("reviews", *db)
    assert "\x1b" not in text
    assert "[red]" in text
    assert "Cohen's kappa +0.000" in text
    assert json.loads(lakatos("show", "1", "--json", *db))["review"] == "disputed"
    assert lakatos("verify", *db).startswith("ok")


def test_parquet_is_written(toy_copy, tmp_path):
    import pandas as pd

    lakatos("export", "--parquet", tmp_path / "log.parquet", "--db", toy_copy)
    table = pd.read_parquet(tmp_path / "log.parquet")
    document = json.loads(lakatos("log", "--json", "--db", toy_copy))
    assert table["id"].tolist() == [h["id"] for h in document["hypotheses"]]
    assert table["e"].dropna().tolist() == [h["e"] for h in document["hypotheses"] if h["e"] is not None]
