"""What a restore does to the rows: what is over, what is held or ended, and what is resumed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import Engine, Table
from tests.protocol.given import NOW
from tests.store.committing import commit, head, rows, settled

from doorward.protocol.moment import Moment, Position
from doorward.protocol.node import Sign
from doorward.protocol.replay import HELD, Replay
from doorward.protocol.restore_events import DeploymentRestored
from doorward.protocol.resume import resume
from doorward.store import nodes, restores, tables
from doorward.store.memory import Memory, Reader

EPOCH = 29_000_000
KINDS = ("api_key", "client", "verifier", "admin_key", "user")


def restored(engine: Engine, replay: Replay | None = None) -> None:
    settled(engine)
    backup = head(engine).position
    assert commit(engine, DeploymentRestored(EPOCH, backup, replay), at=backup, now=NOW + 60) == ""


def states(engine: Engine) -> dict[str, str]:
    return {kind: rows(engine, restores.TABLES[kind][0])[0]["state"] for kind in KINDS}


def only(engine: Engine, table: Table) -> dict[str, Any]:
    (row,) = rows(engine, table)
    return row


def held(engine: Engine, *named: str) -> tuple[Any, ...]:
    with engine.connect() as connection:
        reader = Reader(Memory(Position(EPOCH, 0)), None, connection)  # type: ignore[arg-type]
        return restores.held(reader, frozenset(named))


def test_another_epoch_begins_and_the_journal_goes_on(engine: Engine) -> None:
    settled(engine)
    before = head(engine)
    assert commit(engine, DeploymentRestored(EPOCH, before.position, None), at=before.position) == ""
    after = head(engine)
    assert (after.epoch, after.seq, after.change_seq) == (EPOCH, before.seq + 1, before.seq + 1)


def test_who_served_what_was_backed_up_is_no_node_of_what_is_restored(engine: Engine) -> None:
    """A copy starts elsewhere at once, with a local CA of its own."""
    sign = Sign("web1", 1, "instance", "1.0.0", "0019", "its local CA")
    with engine.execution_options(writing=True).begin() as connection:
        assert nodes.join(connection, sign) == ()
    restored(engine)
    with engine.execution_options(writing=True).begin() as connection:
        assert nodes.join(connection, replace(sign, name="web2", authority="another")) == ()


def test_without_a_journal_every_long_lived_secret_is_held_and_sessions_are_over(engine: Engine) -> None:
    restored(engine)
    assert states(engine) == dict.fromkeys(KINDS, HELD)
    assert only(engine, tables.sessions)["ended_at"] == NOW + 60
    assert only(engine, tables.accounts)["state"] == "active"
    with engine.connect() as connection:
        assert restores.count_held(connection) == dict.fromkeys(KINDS, 1)
        assert [kind for kind, _, _ in restores.list_held(connection, 3)] == [*KINDS[:3]]


def test_a_journal_ends_what_it_names_and_leaves_the_rest(engine: Engine) -> None:
    settled(engine)
    key, client = (rows(engine, table)[0]["id"] for table in (tables.api_keys, tables.clients))
    secret = next(row["id"] for row in rows(engine, tables.secrets) if row["owner_id"] == client)
    account = only(engine, tables.accounts)["id"]
    named = {("api_key", key): "revoked", ("account", account): "suspended", ("user", "user_1"): HELD}
    backup = head(engine).position
    event = DeploymentRestored(EPOCH, backup, Replay(99, named, frozenset({secret})))
    assert commit(engine, event, at=backup, now=NOW + 60) == ""
    others = {"client": "active", "verifier": "active", "admin_key": "active"}
    assert states(engine) == {"api_key": "revoked", "user": HELD, **others}
    assert only(engine, tables.api_keys)["revoked_at"] == NOW + 60
    assert only(engine, tables.accounts)["state"] == "suspended"
    revoked = {row["id"]: row["revoked_at"] for row in rows(engine, tables.secrets)}
    assert revoked.pop(secret) == NOW + 60
    assert set(revoked.values()) == {None}


def test_what_had_ended_before_the_backup_is_not_held(engine: Engine) -> None:
    settled(engine)
    with engine.execution_options(writing=True).begin() as connection:
        connection.execute(tables.api_keys.update().values(state="revoked"))
        connection.execute(tables.clients.update().values(state="disabled"))
    client = rows(engine, tables.clients)[0]["id"]
    backup = head(engine).position
    replay = Replay(99, {("client", client): HELD})
    assert commit(engine, DeploymentRestored(EPOCH, backup, replay), at=backup) == ""
    assert {kind: states(engine)[kind] for kind in ("api_key", "client")} == {
        "api_key": "revoked",
        "client": "disabled",
    }
    assert held(engine) == ()


@pytest.mark.parametrize("named", [(), ("verifier",), ("admin_key", "api_key")], ids=["all", "one", "two"])
def test_what_is_held_is_resumed_by_kind_or_id_or_altogether(engine: Engine, named: tuple[str, ...]) -> None:
    restored(engine)
    found = held(engine, *named)
    ids = {one.id for one in found}
    assert {one.id for one in held(engine, *ids)} == ids
    events = resume(found, Moment(NOW, bytes)).events
    assert commit(engine, *events, at=head(engine).position) == ""
    resumed = set(named or KINDS)
    assert states(engine) == {kind: "active" if kind in resumed else HELD for kind in KINDS}
