"""Refresh tokens: reads and what their events do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import assert_never

from sqlalchemy import Connection, bindparam, update

from doorward.protocol.authorization_events import RefreshTokenEvent, RefreshTokenIssued, RefreshTokenRotated
from doorward.protocol.credential import RefreshTokenFacts
from doorward.protocol.entities import RefreshToken
from doorward.protocol.grant_types import refresh_token as protocol
from doorward.store import clients, grants, quick, rows, signing_keys
from doorward.store.memory import Reader
from doorward.store.tables import refresh_tokens

_UNUSED = (refresh_tokens.c.id == bindparam("the_id")) & refresh_tokens.c.rotated_at.is_(None)
ROTATE = quick.Changing(
    update(refresh_tokens).where(_UNUSED).values(
        rotated_at=bindparam("the_time"), successor_id=bindparam("next_id"), successor=bindparam("next_text")
    )
)  # fmt: skip


def by_id(connection: Connection, token_id: str) -> RefreshToken | None:
    return rows.find(connection, refresh_tokens, RefreshToken, token_id)


def complete(connection: Connection, token_id: str) -> RefreshTokenFacts | None:
    """With all that decides whether it would be accepted."""
    token = by_id(connection, token_id)
    granted = grants.with_its_user(connection, token.grant_id) if token else None
    client = clients.by_id(connection, token.client_id) if token else None
    return RefreshTokenFacts(token, granted, client) if token and granted and client else None


def facts(read: Reader, request: protocol.Request) -> protocol.Facts:
    client = read(clients.by_id, request.credentials.client_id)
    id_ = protocol.id_of(request.refresh_token, read.policy.brand)
    token = by_id(read.connection, id_) if id_ else None
    if token is None:
        return protocol.Facts(client)
    read.rely(f"refresh_token/{token.id}")
    successor = by_id(read.connection, token.successor_id) if token.successor_id else None
    if successor is not None:
        read.rely(f"refresh_token/{successor.id}")
    granted = grants.granted(read, token.grant_id, client)
    keys, place = signing_keys.that_sign(read), clients.place_at(read, granted)
    return protocol.Facts(client, token, successor, granted, keys, place)


def apply(connection: Connection, event: RefreshTokenEvent) -> None:
    match event:
        case RefreshTokenIssued():
            issue_all(connection, [event], 0)
        case RefreshTokenRotated():
            rotate_all(connection, [event], 0)
        case _:
            assert_never(event)


def issue_all(connection: Connection, events: Sequence[RefreshTokenIssued], now: int) -> None:  # noqa: ARG001
    quick.add(connection, refresh_tokens, [event.refresh_token for event in events])


def rotate_all(connection: Connection, events: Sequence[RefreshTokenRotated], now: int) -> None:  # noqa: ARG001
    """One of all racers for each: whoever finds it rotated decides again, on the successor (decision 6)."""
    rotated = [
        {"the_id": one.id, "the_time": one.rotated_at, "next_id": one.successor_id, "next_text": one.successor}
        for one in (event.refresh_token for event in events)
    ]
    if ROTATE.each(connection, rotated) != len(events):
        raise rows.Stale
    quick.add(connection, refresh_tokens, [event.successor for event in events])
