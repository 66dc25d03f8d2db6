"""The guards' text is frozen: databases of one revision have the same triggers, whatever constants the code has."""

from __future__ import annotations

import pytest

from lakatos.experiments_db.log.migrations import guards
from lakatos.tools import statistics
from lakatos.tools.records import content_hash

FROZEN = {  # of every statement; another hash is another revision, which drops the old triggers and makes new ones
    "sqlite": "sha256:0af01c0e563b687eb2429aaa720ef001481b2c30645fb84aad94f941afde5ffc",
    "postgresql": "sha256:3cfc1789bcfff05e1105950c89bda07abf6b7d3323d770cfbe7fa6c3cbb79020",
}


@pytest.mark.parametrize("dialect", FROZEN)
def test_the_text_of_the_guards_is_what_databases_have(dialect):
    assert content_hash(list(guards.statements(dialect, guards.APPEND_ONLY))) == FROZEN[dialect]


def test_the_protocol_has_the_numbers_that_guards_demand():
    """Where this fails, the protocol has changed: a new revision must say so to every database."""
    assert guards.BATCH == statistics.BATCH
    assert guards.FUTILE_BELOW == statistics.FUTILE_BELOW
    assert guards.MIN_FOR_FUTILITY == statistics.MIN_FOR_FUTILITY
