"""The schema: studies, runs, events, LLM calls, proposals, hypotheses, evidence, ledger."""

import sqlalchemy as sa
from alembic import op

from lakatos.experiments_db.log.migrations.guards_before_streams import statements

revision = "0002"
down_revision = None

TABLES = (
    "studies",
    "runs",
    "events",
    "llm_calls",
    "proposals",
    "refusals",
    "hypotheses",
    "batches",
    "effects",
    "evidence",
    "ledger",
)


def upgrade() -> None:
    """Make every table and its guards."""

    def chained(name: str, *columns: sa.schema.SchemaItem) -> None:
        op.create_table(
            name,
            sa.Column("id", sa.Integer, primary_key=True),
            *columns,
            sa.Column("at", sa.String(32), nullable=False),
            sa.Column("digest", sa.String(71), nullable=False),
        )

    def column(name: str, kind: object, to: str | None = None, **options: object) -> sa.Column[object]:
        links = [sa.ForeignKey(to)] if to else []
        rest = {"nullable": False, **options}
        return sa.Column(name, kind, *links, **rest)  # type: ignore[arg-type]  # SQLAlchemy checks them

    chained(
        "studies",
        column("name", sa.String(200), unique=True),
        column("alpha", sa.Float),
        column("secret", sa.String(64)),
        column("secret_source", sa.String(16)),
    )
    chained(
        "runs",
        column("study_id", sa.Integer, "studies.id"),
        column("behaviour", sa.String(200)),
        column("behaviour_hash", sa.String(71)),
        column("behaviour_definition", sa.JSON),
        column("controls", sa.JSON),
        column("model", sa.String(400)),
        column("weights", sa.String(71)),
        column("proposer", sa.String(40)),
        column("seed", sa.String(80)),
        column("config", sa.JSON),
        column("environment", sa.JSON),
    )
    chained(
        "events",
        column("run_id", sa.Integer, "runs.id", index=True),
        column("kind", sa.String(40)),
        column("payload", sa.JSON),
        column("forwards", sa.Float),
        column("seconds", sa.Float),
    )
    chained(
        "llm_calls",
        column("run_id", sa.Integer, "runs.id", index=True),
        column("round", sa.Integer),
        column("purpose", sa.String(40)),
        column("attempt", sa.Integer),
        column("model", sa.String(200)),
        column("prompt", sa.String(200)),
        column("prompt_hash", sa.String(71)),
        column("request", sa.JSON),
        column("response", sa.Text, nullable=True),
        column("error", sa.Text, nullable=True),
        column("tokens_in", sa.Integer),
        column("tokens_out", sa.Integer),
        column("seconds", sa.Float),
    )
    chained(
        "proposals",
        column("run_id", sa.Integer, "runs.id", index=True),
        column("round", sa.Integer),
        column("place", sa.Integer),
        column("proposal", sa.JSON),
        column("llm_call_id", sa.Integer, "llm_calls.id", nullable=True),
        sa.UniqueConstraint("run_id", "round", "place"),
    )
    chained(
        "hypotheses",
        column("study_id", sa.Integer, "studies.id"),
        column("run_id", sa.Integer, "runs.id", index=True),
        column("proposal_id", sa.Integer, "proposals.id", unique=True),
        column("claim_hash", sa.String(71)),
        column("slot", sa.Integer),
        column("registered_at", sa.String(32)),
        column("kind", sa.String(20)),
        column("behaviour", sa.String(200)),
        column("behaviour_hash", sa.String(71)),
        column("weights", sa.String(71)),
        column("subject", sa.Text),
        column("atoms", sa.JSON),
        column("record", sa.JSON),
        column("rationale", sa.Text),
        column("calibration", sa.JSON),
        column("forwards", sa.Float),
        column("seconds", sa.Float),
        sa.UniqueConstraint("study_id", "claim_hash"),
        sa.UniqueConstraint("study_id", "slot"),
    )
    chained(
        "refusals",
        column("proposal_id", sa.Integer, "proposals.id", unique=True),
        column("kind", sa.String(20)),
        column("reason", sa.Text),
        column("duplicate_of", sa.Integer, "hypotheses.id", nullable=True),
    )
    chained(
        "batches",
        column("hypothesis_id", sa.Integer, "hypotheses.id"),
        column("number", sa.Integer),
        column("seed", sa.String(80)),
        column("drawn_at", sa.String(32)),
        column("e_after", sa.Float),
        column("engine", sa.String(20)),
        column("forwards", sa.Float),
        column("seconds", sa.Float),
        sa.UniqueConstraint("hypothesis_id", "number"),
    )
    chained(
        "effects",
        column("batch_id", sa.Integer, "batches.id", index=True),
        column("claim_hash", sa.String(71)),
        column("place", sa.Integer),
        column("uid", sa.String(32)),
        column("template", sa.String(200)),
        column("prompt", sa.JSON),
        column("measured", sa.JSON),
        sa.UniqueConstraint("claim_hash", "uid"),
    )
    chained(
        "evidence",
        column("hypothesis_id", sa.Integer, "hypotheses.id", unique=True),
        column("e", sa.Float),
        column("p", sa.Float),
        column("stop", sa.String(20)),
        column("record", sa.JSON),
    )
    op.create_table(
        "ledger",
        sa.Column("id", sa.Integer, primary_key=True),
        column("rows", sa.JSON),
        column("previous", sa.String(71), unique=True),
        column("entry_hash", sa.String(71), unique=True),
    )
    for statement in statements(op.get_bind().dialect.name, TABLES):
        op.execute(statement)
