"""What people say of hypotheses, and what came of running them again."""

import sqlalchemy as sa
from alembic import op

from lakatos.experiments_db.log.migrations.guards_before_streams import statements

revision = "0003"
down_revision = "0002"

TABLES = ("reviews", "reruns")


def upgrade() -> None:
    """Make both tables and their guards."""

    def chained(name: str, *columns: sa.Column[object]) -> None:
        op.create_table(
            name,
            sa.Column("id", sa.Integer, primary_key=True),
            sa.Column("hypothesis_id", sa.Integer, sa.ForeignKey("hypotheses.id"), nullable=False, index=True),
            *columns,
            sa.Column("at", sa.String(32), nullable=False),
            sa.Column("digest", sa.String(71), nullable=False),
        )

    chained(
        "reviews",
        sa.Column("author", sa.String(100), nullable=False),
        sa.Column("decision", sa.String(20), nullable=False),
        sa.Column("score", sa.Integer),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("blind", sa.Boolean, nullable=False),
    )
    chained(
        "reruns",
        sa.Column("model", sa.String(400), nullable=False),
        sa.Column("weights", sa.String(71), nullable=False),
        sa.Column("outcome", sa.String(20), nullable=False),
        sa.Column("n", sa.Integer, nullable=False),
        sa.Column("seed", sa.String(80), nullable=False),
        sa.Column("environment", sa.JSON, nullable=False),
        sa.Column("record", sa.JSON, nullable=False),
        sa.Column("prompts", sa.JSON, nullable=False),
        sa.Column("forwards", sa.Float, nullable=False),
        sa.Column("seconds", sa.Float, nullable=False),
    )
    op.create_index("ix_hypotheses_about", "hypotheses", ["study_id", "behaviour_hash", "weights", "subject"])
    for statement in statements(op.get_bind().dialect.name, TABLES):
        op.execute(statement)
