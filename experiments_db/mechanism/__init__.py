"""A mechanism: what is confirmed of how a model does something, put together.

mechanism  its parts as data
building   mechanisms of a run, of a study, from the log
explained  how much of the behaviour the confirmed nodes make up together
words      a mechanism in three to ten sentences
"""

from __future__ import annotations

from lakatos.experiments_db.mechanism.building import mechanism_of, run_mechanism, runs_about, study_mechanism
from lakatos.experiments_db.mechanism.explained import share
from lakatos.experiments_db.mechanism.mechanism import (
    Absent,
    Backing,
    Backup,
    Circuit,
    Explained,
    Looks,
    Mechanism,
    Node,
    Open,
    Path,
    Reading,
    Sentence,
    Share,
)

__all__ = [
    "Absent",
    "Backing",
    "Backup",
    "Circuit",
    "Explained",
    "Looks",
    "Mechanism",
    "Node",
    "Open",
    "Path",
    "Reading",
    "Sentence",
    "Share",
    "mechanism_of",
    "run_mechanism",
    "runs_about",
    "share",
    "study_mechanism",
]
