"""Authorization requests on their way: reads and what their events do."""

from __future__ import annotations

from typing import assert_never

from sqlalchemy import Connection, bindparam, func, select, update

from doorward.protocol import interaction as protocol
from doorward.protocol.authorization import Authorization, Parameters
from doorward.protocol.authorization_events import AuthorizationDenied, AuthorizationEvent, AuthorizationRequested
from doorward.protocol.client import ClientFacts
from doorward.protocol.entities import AuthorizationRequest, Grant
from doorward.protocol.grant import Owner
from doorward.store import clients, grants, rows, sessions, signing_keys
from doorward.store.memory import Reader
from doorward.store.quick import Reading
from doorward.store.tables import authorization_requests as requests

_SOME = select(requests.c.id).where(requests.c.ended_at.is_(None)).limit(protocol.WAITING_LIMIT)
_HERE = _SOME.where(requests.c.address == bindparam("address"))
WAITING, WAITING_HERE = (Reading(select(func.count()).select_from(some.subquery())) for some in (_SOME, _HERE))


def by_id(connection: Connection, request_id: str) -> AuthorizationRequest | None:
    return rows.find(connection, requests, AuthorizationRequest, request_id)


def shown(connection: Connection, request_id: str, cookie: str) -> Authorization | None:
    """What a page on the way may tell of it, to the browser that began it."""
    waiting = by_id(connection, request_id)
    known = waiting is not None and waiting.ended_at is None and waiting.digest == protocol.digest(cookie)
    return Authorization.of(waiting.asked) if waiting and known else None


def begin_facts(read: Reader, request: protocol.Request) -> protocol.Facts:
    """Clients are known by their id alone here, so that what strangers send costs little."""
    asked = request.asked
    # First what only the database can say: where there is none, memory is not asked in vain.
    here = _waiting(read.connection, request.browser.address)
    known = _known(read, asked.get("client_id") or "", request.browser, asked)
    keys = signing_keys.known(read) if asked.get(protocol.HINT) else {}
    return protocol.Facts(known, _waiting(read.connection), here, keys)


def resume_facts(read: Reader, request: protocol.Resumed) -> protocol.WaitingFacts:
    read.rely(f"authorization_request/{request.request_id}")
    waiting = by_id(read.connection, request.request_id)
    known = _known(read, waiting.client_id, request.browser) if waiting else protocol.Known()
    return protocol.WaitingFacts(waiting, known)


def answer_facts(read: Reader, request: protocol.Answered) -> protocol.WaitingFacts:
    return resume_facts(read, request.resumed)


def _known(read: Reader, client_id: str, browser: protocol.Browser, asked: Parameters | None = None) -> protocol.Known:
    """Whoever comes with a session showed it a moment ago (`sessions.recognised`): memory knows when it was seen."""
    client = read(clients.by_id, client_id)
    found = read(sessions.by_digest, browser.session) if browser.session else None
    owner = read(grants.owner, found.user.id) if found and client else None
    if client is None or found is None or owner is None:
        return protocol.Known(client)
    before = _before(read.connection, client, owner, asked)
    # Each of them may be ended by its user while he is asked.
    read.rely(*(f"grant/{grant.id}" for grant in before))
    return protocol.Known(client, found, before, owner.active)


def _before(connection: Connection, client: ClientFacts, owner: Owner, asked: Parameters | None) -> tuple[Grant, ...]:
    """What he allowed it: the newest of his grants alone where older ones, and there may be thousands, add nothing."""
    user_id, client_id = owner.user.id, client.client.id
    newest = grants.newest(connection, user_id, client_id) if asked else None
    if asked and newest and protocol.says_all(newest, asked, client, owner.active):
        return (newest,)
    return grants.remembered(connection, user_id, client_id)


def _waiting(connection: Connection, address: str | None = None) -> int:
    """How many are under way, as far as anybody wants to count; those that are over are gone within a minute."""
    found = WAITING.first(connection) if address is None else WAITING_HERE.first(connection, address=address)
    return int(found[0]) if found else 0


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
