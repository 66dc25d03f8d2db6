"""Claims share streams of prompts, tests can be extended, a study may be planned."""

import sqlalchemy as sa
from alembic import op

from lakatos.experiments_db.log.migrations import guards, guards_before_streams
from lakatos.experiments_db.log.migrations.guarding import dropped

revision = "0004"
down_revision = "0003"


def chained(name: str, *columns: sa.schema.SchemaItem) -> None:
    """Make a table whose rows the ledger chains."""
    op.create_table(
        name,
        sa.Column("id", sa.Integer, primary_key=True),
        *columns,
        sa.Column("at", sa.String(32), nullable=False),
        sa.Column("digest", sa.String(71), nullable=False),
    )


def link(name: str, to: str, *, index: bool = False) -> sa.Column[int]:
    """A column that names a row of another table."""
    return sa.Column(name, sa.Integer, sa.ForeignKey(to), nullable=False, index=index)


def upgrade() -> None:
    """Make the new tables and columns, let a test have evidence again after an extension, and renew every guard."""
    dialect = op.get_bind().dialect.name
    before = guards_before_streams
    for statement in dropped(dialect, before.APPEND_ONLY, before.rules(dialect)):
        op.execute(statement)

    chained(
        "streams",
        link("study_id", "studies.id", index=True),
        sa.Column("members", sa.JSON, nullable=False),
        sa.Column("nonce", sa.String(64), nullable=False),
        sa.Column("seed", sa.String(80), nullable=False),
    )
    chained(
        "draws",
        link("stream_id", "streams.id"),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("drawn_at", sa.String(32), nullable=False),
        sa.Column("common", sa.JSON, nullable=False),
        sa.UniqueConstraint("stream_id", "number"),
    )
    chained(
        "prompts",
        link("stream_id", "streams.id"),
        link("draw_id", "draws.id"),
        sa.Column("place", sa.Integer, nullable=False),
        sa.Column("uid", sa.String(32), nullable=False),
        sa.Column("template", sa.String(200), nullable=False),
        sa.Column("prompt", sa.JSON, nullable=False),
        sa.UniqueConstraint("stream_id", "uid"),
        sa.UniqueConstraint("draw_id", "place"),
    )
    chained(
        "extensions",
        link("hypothesis_id", "hypotheses.id", index=True),
        sa.Column("begun", sa.Integer, nullable=False),
        sa.Column("pairs", sa.Integer, nullable=False),
    )
    op.execute("ALTER TABLE batches ADD COLUMN draw_id INTEGER REFERENCES draws (id)")
    op.add_column("batches", sa.Column("own", sa.JSON))
    op.create_index("ix_batches_draw", "batches", ["draw_id"])
    op.add_column("studies", sa.Column("planned", sa.Integer))
    _free_evidence()
    for statement in guards.statements(dialect, guards.APPEND_ONLY):
        op.execute(statement)


def _free_evidence() -> None:
    """The table of evidence without its unique hypothesis; its rows are carried over as they are."""
    chained(
        "evidence_of_extensions",
        link("hypothesis_id", "hypotheses.id"),
        sa.Column("e", sa.Float, nullable=False),
        sa.Column("p", sa.Float, nullable=False),
        sa.Column("stop", sa.String(20), nullable=False),
        sa.Column("record", sa.JSON, nullable=False),
    )
    columns = "id, hypothesis_id, e, p, stop, record, at, digest"
    op.execute(f"INSERT INTO evidence_of_extensions ({columns}) SELECT {columns} FROM evidence ORDER BY id")
    op.drop_table("evidence")
    op.rename_table("evidence_of_extensions", "evidence")
    op.create_index("ix_evidence_hypothesis_id", "evidence", ["hypothesis_id"])
