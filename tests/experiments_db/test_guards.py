"""The guards' text is frozen: databases of one revision have the same triggers, whatever constants the code has."""

from __future__ import annotations

import pytest

from lakatos.experiments_db.log.migrations import guards, guards_before_streams
from lakatos.tools import statistics
from lakatos.tools.records import content_hash

FROZEN = {  # of every statement; another hash is another revision, which drops the old triggers and makes new ones
    (guards_before_streams, "sqlite"): "sha256:0af01c0e563b687eb2429aaa720ef001481b2c30645fb84aad94f941afde5ffc",
    (guards_before_streams, "postgresql"): "sha256:3cfc1789bcfff05e1105950c89bda07abf6b7d3323d770cfbe7fa6c3cbb79020",
    (guards, "sqlite"): "sha256:f5baa78ed94f076e2b82e12b3705047c2913931b52e37cc96b788cf21491c457",
    (guards, "postgresql"): "sha256:4390c898645bc748aa2600e1364f03882011b95a0ab9bc8e609de4ba47dbca15",
}


@pytest.mark.parametrize(("revision", "dialect"), FROZEN)
def test_the_text_of_the_guards_is_what_databases_have(revision, dialect):
    assert content_hash(list(revision.statements(dialect, revision.APPEND_ONLY))) == FROZEN[revision, dialect]


def test_the_protocol_has_the_numbers_that_guards_demand():
    """Where this fails, the protocol has changed: a new revision must say so to every database."""
    assert guards.BATCH == statistics.BATCH
    assert guards.FUTILE_BELOW == statistics.FUTILE_BELOW
    assert guards.MIN_FOR_FUTILITY == statistics.MIN_FOR_FUTILITY
