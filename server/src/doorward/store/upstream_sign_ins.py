"""Browsers that are signing in elsewhere: reads and what their events do."""

from __future__ import annotations

from typing import assert_never

from sqlalchemy import Connection, func, select, update

from doorward.protocol import upstream_sign_in as protocol
from doorward.protocol.upstream import UpstreamSignIn
from doorward.protocol.upstream_events import UpstreamSignInBegun, UpstreamSignInEnded, UpstreamSignInEvent
from doorward.store import authorization_requests, rows, signing_keys
from doorward.store.memory import Reader
from doorward.store.tables import upstream_sign_ins


def by_id(connection: Connection, state: str) -> UpstreamSignIn | None:
    return rows.find(connection, upstream_sign_ins, UpstreamSignIn, state)


def begin_facts(read: Reader, request: protocol.Begin) -> protocol.BeginFacts:
    asked = None
    if request.request_id and request.authorization:
        asked = authorization_requests.shown(read.connection, request.request_id, request.authorization)
    here = _waiting(read.connection, request.address)
    return protocol.BeginFacts(asked, _waiting(read.connection), here, signing_keys.that_sign(read))


def _waiting(connection: Connection, address: str | None = None) -> int:
    """How many are under way, as far as anybody wants to count; those that are over are gone within a minute."""
    limit = protocol.WAITING_LIMIT
    some = select(upstream_sign_ins.c.id).where(upstream_sign_ins.c.ended_at.is_(None)).limit(limit)
    if address is not None:
        some = some.where(upstream_sign_ins.c.address == address)
    return connection.execute(select(func.count()).select_from(some.subquery())).scalar_one()


def arrive_facts(read: Reader, request: protocol.Arrive) -> protocol.ArriveFacts:
    read.rely(f"upstream_sign_in/{request.state}")
    found = by_id(read.connection, request.state)
    return protocol.ArriveFacts(found, request.proof is not None and _is_known(read.connection, request.proof))


def _is_known(connection: Connection, proof: str) -> bool:
    return rows.find(connection, upstream_sign_ins, UpstreamSignIn, proof, by="proof") is not None


def apply(connection: Connection, event: UpstreamSignInEvent) -> None:
    match event:
        case UpstreamSignInBegun():
            rows.add(connection, upstream_sign_ins, event.sign_in)
        case UpstreamSignInEnded():
            ended = event.sign_in
            waiting = (upstream_sign_ins.c.id == ended.id) & upstream_sign_ins.c.ended_at.is_(None)
            values = {"ended_at": ended.ended_at, "expires_at": ended.expires_at, "proof": ended.proof}
            if connection.execute(update(upstream_sign_ins).where(waiting).values(values)).rowcount != 1:
                raise rows.Stale
        case _:
            assert_never(event)
