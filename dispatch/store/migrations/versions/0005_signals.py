"""Calls and awards by the journal row that brought them, filled from the journal."""

from __future__ import annotations

import json

from alembic import op
from sqlalchemy import Column, Integer, String, Text, text

from dispatch.store.dialect import append_only_ddl

revision = "0005"
down_revision = "0004"

NAMED_BY = {"Call": "id", "Award": "obligation"}


def upgrade() -> None:
    op.create_table(
        "signals",
        Column("seq", Integer, primary_key=True, autoincrement=False),
        Column("nth", Integer, primary_key=True, autoincrement=False),
        Column("kind", String(16), nullable=False),
        Column("name", String(255), nullable=False),
        Column("document", Text, nullable=False),
    )
    op.create_index("signals_by_seq", "signals", ["kind", "seq"])
    op.create_index("signals_by_name", "signals", ["kind", "name", "seq"])
    bind = op.get_bind()
    insert = text("INSERT INTO signals (seq, nth, kind, name, document) VALUES (:seq, :nth, :kind, :name, :document)")
    holding = 'document LIKE \'%"fact":"Call"%\' OR document LIKE \'%"fact":"Award"%\''
    for seq, document in bind.execute(text(f"SELECT seq, document FROM journal WHERE kind = 'Seen' AND ({holding}) ORDER BY seq")).all():
        for nth, fact in enumerate(json.loads(document)["facts"]):
            if (key := NAMED_BY.get(fact["fact"])) is not None:
                said = json.dumps(fact, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
                bind.execute(insert, {"seq": seq, "nth": nth, "kind": fact["fact"], "name": fact[key], "document": said})
    for statement in append_only_ddl("signals", bind.dialect.name):
        op.execute(statement)


def downgrade() -> None:
    op.drop_table("signals")
    if op.get_bind().dialect.name != "sqlite":
        op.execute("DROP FUNCTION signals_append_only()")
