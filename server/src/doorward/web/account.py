"""`/account`: what a user has here, and its end: connected apps, keys of his accounts, sessions, the password.

GET  /account
POST /account/apps       client, csrf                    every grant of this app ends at once
POST /account/keys       key, csrf                       see web/account_keys.py
POST /account/sessions   session or all, csrf
POST /account/logins     login, csrf                     it opens nothing here any more
POST /account/password   current, password, csrf
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Set
from functools import partial
from typing import Any, NamedTuple

from sqlalchemy import Connection
from starlette.routing import Route

from doorward.app import DISCONNECT, PASSWORD_CHANGE, SESSION_END, UNLINK
from doorward.exchange import run
from doorward.protocol import connected_apps, consent, identity, member_keys, password, secret, session
from doorward.protocol.entities import Account
from doorward.protocol.form import Form
from doorward.protocol.member_keys import Held
from doorward.protocol.refusal import Conflict, Refusal, TemporarilyUnavailable, Unprocessable
from doorward.protocol.session import SessionFacts
from doorward.protocol.sign_in import SlowDown
from doorward.protocol.upstream import Identity
from doorward.store import connected_apps as shown
from doorward.store import identities, sessions, users
from doorward.store import member_keys as own_keys
from doorward.store.store import Store
from doorward.web import forms
from doorward.web.browsers import named
from doorward.web.hashed import acceptable, compared, hashed
from doorward.web.incoming import Incoming
from doorward.web.page import page, see_other
from doorward.web.page_routes import page_route
from doorward.web.refused import refuse
from doorward.web.refused_page import said
from doorward.web.replies import Reply
from doorward.web.runtime import Runtime
from doorward.web.sign_in import admitted, session_of, settled

Change = Callable[[Incoming, SessionFacts, Form], Awaitable[Reply]]
# What has just been done, said above the page; nothing from an address is ever shown.
DONE = {
    "app": "The app is disconnected: it can do nothing for you any more.",
    "key": "The key is revoked.",
    "session": "The session has ended.",
    "login": "The login opens nothing here any more.",
    "sessions": "Every other session has ended.",
    "password": "Your password is changed.",
}
# What is worth saying of a key: that it is good is no news.
STATES = {"inactive": "inactive", "expired": "expired", "leaked": "leaked"}


def routes(runtime: Runtime) -> list[Route]:
    return [
        page_route(runtime, "/account", get=show),
        page_route(runtime, "/account/apps", post=_signed_in(_disconnect)),
        page_route(runtime, "/account/sessions", post=_signed_in(_end_sessions)),
        page_route(runtime, "/account/logins", post=_signed_in(_unlink)),
        page_route(runtime, "/account/password", post=_signed_in(_change_password)),
    ]


def _signed_in(change: Change) -> Callable[[Incoming], Awaitable[Reply]]:
    """Who is not signed in any more signs in; what he sent is not done later on."""

    async def answer(incoming: Incoming) -> Reply:
        found = await session_of(incoming)
        if found is None:
            return see_other("/login")
        return await change(incoming, found, await forms.received(incoming))

    return answer


async def show(incoming: Incoming) -> Reply:
    found = await session_of(incoming)
    if found is None:
        return see_other("/login")
    return await _page(incoming, found, DONE.get(incoming.query().get("done") or "", ""))


async def _page(
    incoming: Incoming, found: SessionFacts, done: str = "", refusal: Refusal | None = None, above: bool = False
) -> Reply:
    """`above`: what was refused is said at the top of the page, else where the password is changed."""
    csrf = forms.shown(incoming)
    refused, store = said(refusal), incoming.runtime.store
    accounts = [one.account_id for one in found.memberships]
    seen = await store.read(partial(_seen, user_id=found.user.id, accounts=accounts))
    live = [one for one in seen.sessions if session.live(one, store.policy, store.now()) is not None]
    return page(
        incoming, "account.html", refused.status, more=[*csrf.headers, *refused.headers], csrf=csrf.token,
        user=found.user, apps=connected_apps.apps(seen.allowed), here=found.session.id, **_keys(seen, found, store),
        sessions=sorted(live, key=lambda one: (one.session.id != found.session.id, -one.last_seen_at)), named=named,
        logins=[(one, identity.title(one, store.policy)) for one in seen.logins if one.subject is not None],
        oidc=consent.OIDC, states=STATES, done=done, said=refused, above=above,
        shortest=password.SHORTEST, has_password=seen.has_password, by_mail=incoming.runtime.mail is not None,
    )  # fmt: skip


def _keys(seen: Seen, found: SessionFacts, store: Store) -> dict[str, Any]:
    living = {one.id: one.name for one in seen.accounts}
    managed = {one.account_id for one in found.memberships if member_keys.manages(one, one.account_id)} & living.keys()
    return {
        "keys": [_key(one, managed, store) for one in seen.keys], "accounts": living, "memberships": found.memberships,
        "suspended": sorted({one.account_id for one in found.memberships} - living.keys()),
        "may_make": seen.opened and bool(managed),
    }  # fmt: skip


def _key(held: Held, managed: Set[str], store: Store) -> dict[str, Any]:
    """What may be done with a key, beside what it is."""
    key, now = held.key, store.now()
    is_managed = key.account_id in managed
    return {
        "held": held, "managed": is_managed, "state": _state(held, now),
        "prefix": "" if held.secret is None else secret.prefix(held.secret, store.policy.brand),
        "rotatable": is_managed and member_keys.may_rotate(key, held.api, now),
    }  # fmt: skip


def _state(held: Held, now: int) -> str:
    """One whose secret leaked is active, and has nothing that one could use until it is rotated."""
    if held.key.expires_at is not None and now >= held.key.expires_at:
        return "expired"
    return "leaked" if held.key.state == "active" and held.secret is None else held.key.state


class Seen(NamedTuple):
    """What the page shows, of one position."""

    allowed: tuple[connected_apps.Allowed, ...]
    keys: tuple[Held, ...]
    accounts: tuple[Account, ...]
    opened: bool
    sessions: tuple[SessionFacts, ...]
    logins: tuple[Identity, ...]
    has_password: bool


def _seen(connection: Connection, user_id: str, accounts: list[str]) -> Seen:
    living = own_keys.accounts_of(connection, accounts)
    keys, opened = own_keys.keys_of(connection, [one.id for one in living]), bool(own_keys.opened(connection))
    allowed, logins = shown.allowed_by(connection, user_id), identities.of_user(connection, user_id)
    user = users.by_id(connection, user_id)
    has_password = user is not None and user.password is not None
    return Seen(allowed, keys, living, opened, sessions.of_user(connection, user_id), logins, has_password)


async def _disconnect(incoming: Incoming, found: SessionFacts, form: Form) -> Reply:
    request = connected_apps.Disconnect(found.user.id, form.required("client"))
    ended = connected_apps.AT_ONCE
    while ended == connected_apps.AT_ONCE:
        ended = await run(DISCONNECT, request, incoming.runtime.store, lambda count: count, incoming.context)
    return see_other("/account?done=app")


async def _end_sessions(incoming: Incoming, found: SessionFacts, form: Form) -> Reply:
    """One of them, or all but this one; the one here ends by signing out."""
    every = form.get("all") is not None
    request = session.End(found.user.id, None if every else (form.required("session"),), found.session.id)
    await run(SESSION_END, request, incoming.runtime.store, lambda _: None, incoming.context)
    return see_other(f"/account?done={'sessions' if every else 'session'}")


async def _unlink(incoming: Incoming, found: SessionFacts, form: Form) -> Reply:
    request = identity.Unlink(found.user.id, form.required("login"))
    try:
        await run(UNLINK, request, incoming.runtime.store, lambda _: None, incoming.context)
    except Conflict as refusal:
        refused = await _page(incoming, found, refusal=refusal, above=True)
        return refuse(refusal, incoming, lambda _, __: refused)
    return see_other("/account?done=login")


async def _change_password(incoming: Incoming, found: SessionFacts, form: Form) -> Reply:
    """The present one is asked for, and counted as at the door: a browser left open is no way to guess it."""
    user, chosen = found.user, form.get("password") or ""
    runtime = incoming.runtime
    try:
        acceptable(runtime, chosen, user)
        current = form.get("current") or ""
        counted = await admitted(incoming, user.username, current)
        phc = await runtime.store.read(lambda connection: sessions.known_password(connection, user.username))
        checked = await compared(runtime, phc, current)
        request = password.Change(user.id, found.session.id, checked, await hashed(runtime, chosen))
        await run(PASSWORD_CHANGE, request, runtime.store, lambda _: None, incoming.context)
        await settled(incoming, counted)
    except (Unprocessable, password.WrongPassword, SlowDown, TemporarilyUnavailable) as refusal:
        refused = await _page(incoming, found, refusal=refusal)
        return refuse(refusal, incoming, lambda _, __: refused)
    return see_other("/account?done=password")
