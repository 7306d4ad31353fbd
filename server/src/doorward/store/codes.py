"""Authorization codes: reads and what their events do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import assert_never

from sqlalchemy import Connection, bindparam, update

from doorward.protocol.authorization_events import CodeEvent, CodeIssued, CodeRedeemed
from doorward.protocol.entities import Code
from doorward.protocol.grant_types import authorization_code as protocol
from doorward.store import authorization_requests, clients, grants, quick, rows, signing_keys
from doorward.store.memory import Reader
from doorward.store.tables import codes
from doorward.store.tables import grants as grant_table

_UNUSED = (codes.c.digest == bindparam("the_digest")) & codes.c.redeemed_at.is_(None)
REDEEM = quick.Changing(update(codes).where(_UNUSED).values(redeemed_at=bindparam("the_time")))


def facts(read: Reader, request: protocol.Request) -> protocol.Facts:
    client = read(clients.by_id, request.credentials.client_id)
    code = rows.find(read.connection, codes, Code, request.digest, by="digest")
    if code is None:
        return protocol.Facts(client)
    read.rely(f"code/{code.grant_id}")
    granted = grants.granted(read, code.grant_id, client)
    keys, place = signing_keys.that_sign(read), clients.place_at(read, granted)
    return protocol.Facts(client, code, granted, keys, place)


def apply(connection: Connection, event: CodeEvent, now: int) -> None:
    match event:
        case CodeIssued():
            issue_all(connection, [event], now)
        case CodeRedeemed():
            redeem_all(connection, [event], now)
        case _:
            assert_never(event)


def issue_all(connection: Connection, events: Sequence[CodeIssued], now: int) -> None:
    quick.add(connection, grant_table, [event.grant for event in events])
    quick.add(connection, codes, [event.code for event in events])
    for event in events:
        if event.request is not None:
            authorization_requests.end(connection, event.request, now)


def redeem_all(connection: Connection, events: Sequence[CodeRedeemed], now: int) -> None:
    """Each once: when one of them was used before, none of them is."""
    redeemed = [{"the_digest": event.code.digest, "the_time": now} for event in events]
    if REDEEM.each(connection, redeemed) != len(events):
        raise rows.Stale
