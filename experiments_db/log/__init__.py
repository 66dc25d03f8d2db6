"""What happened: the only SQL of the project. Nothing here knows what follows from it.

tables        the tables;  row: what they have in common;  migrations: how they came about, and the guarding triggers
database      engines, and what differs between SQLite and PostgreSQL
stored        rows as they lie in the database, decoded one by one;  unreadable: the error where one cannot be
rows          rows as they were appended, the ledger, the log of one moment
turns         answers of language models that call tools
hypotheses    what the log holds of hypotheses;  runs: of runs;  reader: both, as records
records       what a reader gets
log           the only writer: appends rows and chains their hashes;  appending: one append;  clock: when
registration  what is fixed when a claim is given its slot
seeds         of every stream of prompts;  values: numbers of prompts, stored and as arrays
reviews       what people say of hypotheses;  standing: what that comes to
approvals     what a person made of drafts
control       pausing and stopping a run from another process
seal          what a log was, kept outside of it
"""

from __future__ import annotations

from lakatos.experiments_db.log.appending import Burned, Conflict, Duplicate, StoreError
from lakatos.experiments_db.log.approvals import APPROVED, DRAFTED, approval, approve, dropped, waiting_drafts
from lakatos.experiments_db.log.clock import now
from lakatos.experiments_db.log.control import WISHES, ask, asked, resumable
from lakatos.experiments_db.log.database import open_engine
from lakatos.experiments_db.log.log import Log, Share
from lakatos.experiments_db.log.reader import Reader
from lakatos.experiments_db.log.records import Counts, Entry, Refused, RunRecord, Status
from lakatos.experiments_db.log.registration import Registration, filed, register
from lakatos.experiments_db.log.reviews import MOST_AUTHOR, MOST_REASON, SCORES, add_review
from lakatos.experiments_db.log.row import GENESIS, Base
from lakatos.experiments_db.log.rows import ledger_hash
from lakatos.experiments_db.log.runs import CALLED, EXPLAINED, SEARCHED, TOOL
from lakatos.experiments_db.log.seal import Seal, append_seal, broken_seals, make_seal, read_seals, seal_file
from lakatos.experiments_db.log.seeds import (
    derive_seed,
    exploration_seed,
    rerun_key,
    rerun_seed,
    seed_key,
    seeded_nonce,
    stream_key,
)
from lakatos.experiments_db.log.standing import DECISIONS, SCORE, Agreement, agreement, kappa, standing
from lakatos.experiments_db.log.stored import Stored, first_unreadable, read_table
from lakatos.experiments_db.log.tables import (
    Batch,
    Effect,
    Event,
    HypothesisRow,
    LLMCall,
    Proposal,
    Rerun,
    Review,
    Run,
    Stream,
    Study,
)
from lakatos.experiments_db.log.turns import read_turn, turn_text
from lakatos.experiments_db.log.unreadable import Unreadable, reading
from lakatos.experiments_db.log.values import (
    Rows,
    Tested,
    explored_data,
    from_values,
    passed_over,
    rerun_data,
    texts,
    to_data,
)

__all__ = [
    "APPROVED",
    "CALLED",
    "DECISIONS",
    "DRAFTED",
    "EXPLAINED",
    "GENESIS",
    "MOST_AUTHOR",
    "MOST_REASON",
    "SCORE",
    "SCORES",
    "SEARCHED",
    "TOOL",
    "WISHES",
    "Agreement",
    "Base",
    "Batch",
    "Burned",
    "Conflict",
    "Counts",
    "Duplicate",
    "Effect",
    "Entry",
    "Event",
    "HypothesisRow",
    "LLMCall",
    "Log",
    "Proposal",
    "Reader",
    "Refused",
    "Registration",
    "Rerun",
    "Review",
    "Rows",
    "Run",
    "RunRecord",
    "Seal",
    "Share",
    "Status",
    "StoreError",
    "Stored",
    "Stream",
    "Study",
    "Tested",
    "Unreadable",
    "add_review",
    "agreement",
    "append_seal",
    "approval",
    "approve",
    "ask",
    "asked",
    "broken_seals",
    "derive_seed",
    "dropped",
    "exploration_seed",
    "explored_data",
    "filed",
    "first_unreadable",
    "from_values",
    "kappa",
    "ledger_hash",
    "make_seal",
    "now",
    "open_engine",
    "passed_over",
    "read_seals",
    "read_table",
    "read_turn",
    "reading",
    "register",
    "rerun_data",
    "rerun_key",
    "rerun_seed",
    "resumable",
    "seal_file",
    "seed_key",
    "seeded_nonce",
    "standing",
    "stream_key",
    "texts",
    "to_data",
    "turn_text",
    "waiting_drafts",
]
