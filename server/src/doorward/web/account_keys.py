"""`/account/keys`: users make, rotate and end keys of the accounts that they belong to (T165, T166).

GET  /account/keys/new?api=ID
POST /account/keys/new          account, api, scope.NAME, name, environment, lifetime, current, csrf
GET  /account/keys/rotate?key=ID
POST /account/keys/rotate       key, overlap, current, csrf
POST /account/keys              key, csrf                                                 it is revoked

A key is shown on the page that answers, once. The present password is asked for where the sign-in is not fresh.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial

from sqlalchemy import Connection
from starlette.routing import Route

from doorward.app import KEY_END, KEY_MAKE, KEY_ROTATE
from doorward.exchange import run
from doorward.protocol import member_keys
from doorward.protocol.api_key import NewKeyObject
from doorward.protocol.entities import Api
from doorward.protocol.form import Form
from doorward.protocol.member_keys import Held, Offer, Proof, SignInOld
from doorward.protocol.password import Checked, WrongPassword
from doorward.protocol.policy import DAY
from doorward.protocol.refusal import Conflict, NotFound, Refusal, TemporarilyUnavailable, Unprocessable
from doorward.protocol.session import SessionFacts
from doorward.protocol.sign_in import SlowDown
from doorward.store import member_keys as rows
from doorward.store import sessions, users
from doorward.store.attempts import Admitted
from doorward.web import forms
from doorward.web.hashed import compared
from doorward.web.incoming import Incoming
from doorward.web.page import page, see_other
from doorward.web.page_routes import page_route
from doorward.web.refused import refuse
from doorward.web.refused_page import said
from doorward.web.replies import Reply
from doorward.web.runtime import Runtime
from doorward.web.sign_in import PASSWORD_LIMIT, admitted, session_of, settled

TICKED = "scope."
# What the reader may mend on the page where it was refused.
MENDABLE = (Unprocessable, Conflict, WrongPassword, SignInOld, SlowDown, TemporarilyUnavailable)
Answer = Callable[[Incoming, SessionFacts], Awaitable[Reply]]


@dataclass(frozen=True, slots=True)
class Turns:
    """Keys of one account are made one after the other, or facts that others change would go stale again and again."""

    locks: tuple[asyncio.Lock, ...] = field(default_factory=lambda: tuple(asyncio.Lock() for _ in range(64)))

    def of(self, account_id: str) -> asyncio.Lock:
        return self.locks[hash(account_id) % len(self.locks)]


def routes(runtime: Runtime) -> list[Route]:
    make = partial(_make, turns=Turns())
    return [
        page_route(runtime, "/account/keys", post=_signed_in(_end)),
        page_route(runtime, "/account/keys/new", get=_signed_in(_new), post=_signed_in(make)),
        page_route(runtime, "/account/keys/rotate", get=_signed_in(_turn), post=_signed_in(_rotate)),
    ]


def _signed_in(answer: Answer) -> Callable[[Incoming], Awaitable[Reply]]:
    async def asked(incoming: Incoming) -> Reply:
        found = await session_of(incoming)
        return see_other("/login") if found is None else await answer(incoming, found)

    return asked


async def _end(incoming: Incoming, found: SessionFacts) -> Reply:
    form = await forms.received(incoming)
    request = member_keys.EndKey(found.user.id, form.required("key"))
    await run(KEY_END, request, incoming.runtime.store, lambda _: None, incoming.context)
    return see_other("/account?done=key")


async def _new(incoming: Incoming, found: SessionFacts) -> Reply:
    """Which api comes first: what a key may do depends on it."""
    offered = await _offer(incoming, found)
    named = incoming.query().get("api")
    if named is None and len(offered.apis) == 1:
        named = offered.apis[0].id
    if named is None or not offered.accounts:
        return page(incoming, "new_key_api.html", form_action=("'none'",), offer=offered)
    return await _form(incoming, found, offered, _api(offered, named))


async def _offer(incoming: Incoming, found: SessionFacts) -> Offer:
    return await incoming.runtime.store.read(partial(_offered, found=found))


def _offered(connection: Connection, found: SessionFacts) -> Offer:
    managed = [one.account_id for one in found.memberships if member_keys.manages(one, one.account_id)]
    return Offer(rows.accounts_of(connection, managed), rows.opened(connection))


def _api(offered: Offer, id_: str) -> Api:
    api = next((one for one in offered.apis if one.id == id_), None)
    if api is None or not offered.accounts:
        raise NotFound("there is nothing to make a key for")
    return api


async def _form(
    incoming: Incoming, found: SessionFacts, offered: Offer, api: Api, form: Form | None = None,
    refusal: Refusal | None = None,
) -> Reply:  # fmt: skip
    csrf, above = forms.shown(incoming), said(refusal)
    return page(
        incoming, "new_key.html", above.status, more=[*csrf.headers, *above.headers], csrf=csrf.token, said=above,
        offer=offered, api=api, given={} if form is None else {name: form.get(name) for name in form.fields},
        days=list(_spans(member_keys.LIFETIMES)), limit=member_keys.NAME_LIMIT,
        proof=await _what_proves(incoming, found), user=found.user,
    )  # fmt: skip


async def _what_proves(incoming: Incoming, found: SessionFacts) -> str:
    """Nothing more is asked of whoever signed in lately; then his password, or to sign in anew where he has none."""
    if member_keys.is_fresh(found.session, incoming.runtime.store.now()):
        return "session"
    user = await incoming.runtime.store.read(lambda connection: users.by_id(connection, found.user.id))
    return "password" if user is not None and user.password is not None else "sign-in"


async def _make(incoming: Incoming, found: SessionFacts, *, turns: Turns) -> Reply:
    form = await forms.received(incoming)
    offered = await _offer(incoming, found)
    api = _api(offered, form.required("api"))
    try:
        proof, counted = await _proved(incoming, found, form)
        request = _asked(form, proof, api)
        async with turns.of(request.account_id):
            made = await run(KEY_MAKE, request, incoming.runtime.store, lambda made: made, incoming.context)
        await _settled(incoming, counted)
    except MENDABLE as refusal:
        refused = await _form(incoming, found, offered, api, form, refusal)
        return refuse(refusal, incoming, lambda _, __: refused)
    return _shown(incoming, made, rotated=False)


def _asked(form: Form, proof: Proof, api: Api) -> member_keys.Make:
    ticked = frozenset(name.removeprefix(TICKED) for name in form.fields if name.startswith(TICKED) and form.get(name))
    return member_keys.Make(
        proof, form.required("account"), api.id, ticked, (form.get("name") or "").strip(),
        form.get("environment") or "live", _spans(member_keys.LIFETIMES).get(form.get("lifetime") or "", 0),
    )  # fmt: skip


def _spans(offered: tuple[int, ...]) -> dict[str, int]:
    """Those that a form offers, by what it sends."""
    return {str(span // DAY): span for span in offered}


async def _proved(incoming: Incoming, found: SessionFacts, form: Form) -> tuple[Proof, Admitted | None]:
    """The password is counted as at the door before it is compared (decision 28), and only where it is needed."""
    bare, store = Proof(found.user.id, found.session.id), incoming.runtime.store
    current = (form.get("current") or "")[:PASSWORD_LIMIT]
    if not current or member_keys.is_fresh(found.session, store.now()):
        return bare, None
    counted = await admitted(incoming, found.user.username, current)
    phc = await store.read(lambda connection: sessions.known_password(connection, found.user.username))
    checked: Checked = await compared(incoming.runtime, phc, current)
    return Proof(found.user.id, found.session.id, checked), counted


async def _settled(incoming: Incoming, counted: Admitted | None) -> None:
    if counted is not None:
        await settled(incoming, counted)


def _shown(incoming: Incoming, made: NewKeyObject, *, rotated: bool) -> Reply:
    return page(incoming, "key_shown.html", form_action=("'none'",), made=made, rotated=rotated)


async def _turn(incoming: Incoming, found: SessionFacts) -> Reply:
    return await _turning(incoming, found, await _held(incoming, found, incoming.query().get("key") or ""))


async def _held(incoming: Incoming, found: SessionFacts, key_id: str) -> Held:
    """A key of an account that he manages; to everybody else there is none."""
    managed = [account.id for account in (await _offer(incoming, found)).accounts]
    keys = await incoming.runtime.store.read(partial(rows.keys_of, account_ids=managed, key_id=key_id))
    if not keys:
        raise NotFound("there is no such api key")
    return keys[0]


async def _turning(incoming: Incoming, found: SessionFacts, held: Held, refusal: Refusal | None = None) -> Reply:
    csrf, above = forms.shown(incoming), said(refusal)
    return page(
        incoming, "rotate_key.html", above.status, more=[*csrf.headers, *above.headers], csrf=csrf.token, said=above,
        held=held, may=member_keys.may_rotate(held.key, held.api, incoming.runtime.store.now()),
        days=list(_spans(member_keys.OVERLAPS)), proof=await _what_proves(incoming, found),
        user=found.user,
    )  # fmt: skip


async def _rotate(incoming: Incoming, found: SessionFacts) -> Reply:
    form = await forms.received(incoming)
    held = await _held(incoming, found, form.required("key"))
    try:
        proof, counted = await _proved(incoming, found, form)
        overlap = _spans(member_keys.OVERLAPS).get(form.get("overlap") or "", -1)
        request = member_keys.Rotate(proof, held.key.id, overlap)
        made = await run(KEY_ROTATE, request, incoming.runtime.store, lambda made: made, incoming.context)
        await _settled(incoming, counted)
    except MENDABLE as refusal:
        refused = await _turning(incoming, found, held, refusal)
        return refuse(refusal, incoming, lambda _, __: refused)
    return _shown(incoming, made, rotated=True)
