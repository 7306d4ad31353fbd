"""Authorization requests on their way: reads and what their events do."""

from __future__ import annotations

from typing import assert_never

from sqlalchemy import Connection, func, select, update

from doorward.protocol import interaction as protocol
from doorward.protocol.authorization import Authorization
from doorward.protocol.authorization_events import AuthorizationDenied, AuthorizationEvent, AuthorizationRequested
from doorward.protocol.entities import AuthorizationRequest
from doorward.store import clients, grants, rows, sessions, signing_keys
from doorward.store.memory import Reader
from doorward.store.tables import authorization_requests as requests


def by_id(connection: Connection, request_id: str) -> AuthorizationRequest | None:
    return rows.find(connection, requests, AuthorizationRequest, request_id)


def shown(connection: Connection, request_id: str, cookie: str) -> Authorization | None:
    """What a page on the way may tell of it, to the browser that began it."""
    waiting = by_id(connection, request_id)
    known = waiting is not None and waiting.ended_at is None and waiting.digest == protocol.digest(cookie)
    return Authorization.of(waiting.asked) if waiting and known else None


def begin_facts(read: Reader, request: protocol.Request) -> protocol.Facts:
    """Clients are known by their id alone here, so that what strangers send costs little."""
    known = _known(read, request.asked.get("client_id") or "", request.browser)
    keys = signing_keys.known(read) if request.asked.get(protocol.HINT) else {}
    here = _waiting(read.connection, request.browser.address)
    return protocol.Facts(known, _waiting(read.connection), here, keys)


def resume_facts(read: Reader, request: protocol.Resumed) -> protocol.WaitingFacts:
    read.rely(f"authorization_request/{request.request_id}")
    waiting = by_id(read.connection, request.request_id)
    known = _known(read, waiting.client_id, request.browser) if waiting else protocol.Known()
    return protocol.WaitingFacts(waiting, known)


def answer_facts(read: Reader, request: protocol.Answered) -> protocol.WaitingFacts:
    return resume_facts(read, request.resumed)


def _known(read: Reader, client_id: str, browser: protocol.Browser) -> protocol.Known:
    client = read(clients.by_id, client_id)
    found = sessions.by_digest(read.connection, browser.session) if browser.session else None
    if found is None or client is None:
        return protocol.Known(client)
    read.rely(*found.refs)
    before = grants.remembered(read.connection, found.user.id, client_id)
    # Each of them may be ended by its user while he is asked.
    read.rely(*(f"grant/{grant.id}" for grant in before))
    return protocol.Known(client, found, before, grants.accounts_of(read.connection, found.user.id))


def _waiting(connection: Connection, address: str | None = None) -> int:
    """How many are under way, as far as anybody wants to count; those that are over are gone within a minute."""
    some = select(requests.c.id).where(requests.c.ended_at.is_(None)).limit(protocol.WAITING_LIMIT)
    if address is not None:
        some = some.where(requests.c.address == address)
    return connection.execute(select(func.count()).select_from(some.subquery())).scalar_one()


def end(connection: Connection, request: AuthorizationRequest, now: int) -> None:
    """Once: a browser's second answer is not another one."""
    live = (requests.c.id == request.id) & requests.c.ended_at.is_(None)
    if connection.execute(update(requests).where(live).values(ended_at=now)).rowcount != 1:
        raise rows.Stale


def apply(connection: Connection, event: AuthorizationEvent, now: int) -> None:
    match event:
        case AuthorizationRequested():
            rows.add(connection, requests, event.request)
        case AuthorizationDenied():
            end(connection, event.request, now)
        case _:
            assert_never(event)
