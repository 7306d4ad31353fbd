"""From an authorization request to its answer: sign-in and consent where needed, then a code (RFC 6749 §4.1.2).

303 /login?request=authorization_...    303 /consent?request=...    303 redirect_uri?code=...&state=...&iss=...

A client may want to hear of one user alone (id_token_hint, `sub` in claims), or of a strong sign-in alone (`acr` in
claims): it hears of no other (OpenID Connect Core §3.1.2.2).

A request that has to wait is a row; the address bar holds its id alone, and only the browser that began it may go on,
since it must show the cookie that it got for it (T005, T036).
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from doorward.protocol import authorization, claims, consent, id_token, redirect_uri, session
from doorward.protocol.authorization import Authorization, Parameters
from doorward.protocol.authorization_events import AuthorizationDenied, AuthorizationRequested, CodeIssued
from doorward.protocol.client import ClientFacts
from doorward.protocol.decision import Decision
from doorward.protocol.entities import Account, AuthorizationRequest, Client, Code, Grant
from doorward.protocol.moment import Moment
from doorward.protocol.policy import Policy
from doorward.protocol.refusal import (
    AccessDenied,
    ConsentRequired,
    Destination,
    InvalidRequest,
    LoginRequired,
    Refusal,
    UnmetAuthenticationRequirements,
)
from doorward.protocol.session import SessionFacts
from doorward.protocol.sign_in import SlowDown
from doorward_verify import jwt
from doorward_verify.errors import DoorwardError
from doorward_verify.scope import Scope

LOGIN, CONSENT = "/login", "/consent"
HINT = "id_token_hint"
# Begun and not finished, everywhere and from one address.
WAITING_LIMIT, WAITING_HERE_LIMIT = 100_000, 1_000
_COOKIE = re.compile(r"[A-Za-z0-9_-]{43}")
SIGNS_IN_ANEW = frozenset({"login", "select_account"})


@dataclass(frozen=True, slots=True)
class Browser:
    """`session` is the digest of its session's cookie, `cookie` what binds it to the requests that it began."""

    session: str | None = None
    cookie: str | None = field(default=None, repr=False)
    address: str = ""


@dataclass(frozen=True, slots=True)
class Request:
    """`crossed` is a POST without a session: from another site, a browser sends ours with a GET alone."""

    asked: Parameters
    browser: Browser
    crossed: bool = False


@dataclass(frozen=True, slots=True)
class Known:
    """What decides of a request: its client, who is signed in, what he allowed it before, and his active accounts."""

    client: ClientFacts | None = None
    session: SessionFacts | None = None
    grants: tuple[Grant, ...] = ()
    accounts: tuple[Account, ...] = ()


@dataclass(frozen=True, slots=True)
class Facts:
    """`keys` are there for a hint: those that sign, and those that did and are still published."""

    known: Known
    waiting: int = 0
    waiting_here: int = 0
    keys: jwt.Keys = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class WaitingFacts:
    """Of a request that waits."""

    request: AuthorizationRequest | None
    known: Known


@dataclass(frozen=True, slots=True)
class Response:
    """The authorization response, RFC 6749 §4.1.2 and RFC 9207 §2."""

    destination: Destination
    issuer: str
    code: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Page:
    """Where the user goes on; `cookie` is new where the browser had none."""

    path: str
    request_id: str
    ui_locales: str | None = None
    cookie: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class ComeAgain:
    """With a GET of the same parameters."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One line of the consent page. What was allowed before is not new; what the client cannot do without is fixed."""

    name: str
    sentence: str
    is_new: bool
    is_fixed: bool


@dataclass(frozen=True, slots=True)
class Question:
    """The consent page; `origin` is where its form may lead in the end (decision 32)."""

    request_id: str
    client: Client
    user: str
    host: str
    origin: str
    scopes: tuple[Asked, ...]
    accounts: tuple[Account, ...]
    account_id: str | None
    is_on_loopback: bool


@dataclass(frozen=True, slots=True)
class Resumed:
    """A request that waits, named by the address bar and shown by its browser."""

    request_id: str
    browser: Browser


@dataclass(frozen=True, slots=True)
class Answered:
    """The consent page's form: what the user chose."""

    resumed: Resumed
    allows: bool
    scope: Scope = frozenset()
    account_id: str | None = None


def digest(cookie: str) -> str:
    return hashlib.sha256(cookie.encode()).hexdigest()


def is_cookie(text: str | None) -> bool:
    """Whether it is one that we gave."""
    return text is not None and _COOKIE.fullmatch(text) is not None


def says_all(newest: Grant, asked: Parameters, client: ClientFacts, accounts: Iterable[Account]) -> bool:
    """Whether the newest of a user's grants decides alone: for the client's only api, for an account that is still
    his, and with all of the scope that is asked for. Older ones can add nothing to that."""
    wanted = frozenset((asked.get("scope") or "").split())
    own: set[str | None] = {one.id for one in accounts} or {None}
    is_for_it = [one.api.id for one in client.grants] == [newest.api_id] and newest.account_id in own
    return is_for_it and bool(wanted) and wanted <= newest.scope


def begin(request: Request, facts: Facts, policy: Policy, moment: Moment) -> Decision[Response | Page | ComeAgain]:
    """/oauth/authorize."""
    asked = authorization.check(request.asked, facts.known.client)
    if request.crossed:
        return Decision(ComeAgain())
    asked = _hinted(asked, request.asked.get(HINT), facts.keys, policy)
    known = _now(facts.known, policy, moment)
    anew = _signs_in(asked, known, moment)
    if not anew and not _is_asked(asked, known):
        return _issue(asked, known, asked.scope, _account(asked, known), policy, moment)
    _refuse_to_wait(asked, anew)
    if facts.waiting >= WAITING_LIMIT or facts.waiting_here >= WAITING_HERE_LIMIT:
        raise SlowDown("too many authorizations are waiting", reason="authorizations_waiting")
    return _wait(asked, request.browser, known, anew, policy, moment)


def resume(
    request: Resumed, facts: WaitingFacts, policy: Policy, moment: Moment
) -> Decision[Response | Page | Question]:
    """/consent: after the sign-in, and whenever the browser comes back to it."""
    waiting, asked = _resumed(request, facts, moment)
    known = _now(facts.known, policy, moment)
    if _is_stale(waiting, asked, known):
        return Decision(Page(LOGIN, waiting.id, asked.ui_locales))
    _check_who(waiting, asked, known)
    if not _is_asked(asked, known):
        return _issue(asked, known, asked.scope, _account(asked, known), policy, moment, waiting)
    return Decision(_question(waiting, asked, known))


def answer(request: Answered, facts: WaitingFacts, policy: Policy, moment: Moment) -> Decision[Response | Page]:
    """The consent page's form. No is an answer too; of yes, what he chose of what was asked for."""
    waiting, asked = _resumed(request.resumed, facts, moment)
    known = _now(facts.known, policy, moment)
    if _is_stale(waiting, asked, known):
        return Decision(Page(LOGIN, waiting.id, asked.ui_locales))
    _check_who(waiting, asked, known)
    chosen = asked.scope & (request.scope | consent.ALWAYS)
    if not request.allows or not chosen - {"offline_access"}:
        raise _denied(waiting, asked, known)
    own = {one.id for one in known.accounts}
    if request.account_id is not None and request.account_id not in own:
        raise InvalidRequest("the account is not one of the user's")
    return _issue(asked, known, chosen, request.account_id or _account(asked, known), policy, moment, waiting)


def _hinted(asked: Authorization, text: str | None, keys: jwt.Keys, policy: Policy) -> Authorization:
    """T020: a hint is an ID token that we gave this client, whatever its age."""
    if text is None:
        return asked
    try:
        hint = id_token.read(text, keys, policy.issuer)
    except DoorwardError:
        hint = None
    if hint is None or hint.client_id != asked.client_id:
        refusal = InvalidRequest("id_token_hint is no id token of this client", reason="id_token_hint_invalid")
        raise _told(refusal, asked)
    if asked.subjects and hint.subject not in asked.subjects:
        raise _told(InvalidRequest("id_token_hint and claims name different users"), asked)
    return replace(asked, subjects=frozenset({hint.subject}))


def _now(known: Known, policy: Policy, moment: Moment) -> Known:
    """Without a session that is over."""
    return replace(known, session=session.live(known.session, policy, moment.now))


def _session(known: Known) -> SessionFacts:
    assert known.session is not None, "he is signed in"
    return known.session


def _client(known: Known) -> Client:
    assert known.client is not None, "it passed the checks"
    return known.client.client


def _signs_in(asked: Authorization, known: Known, moment: Moment) -> bool:
    """`max_age=0` is `prompt=login` by another name (OpenID Connect Core §3.1.2.1)."""
    if known.session is None or asked.prompt & SIGNS_IN_ANEW or not _fits(asked, known.session):
        return True
    age = moment.now - known.session.session.auth_time
    return asked.max_age is not None and (asked.max_age == 0 or age > asked.max_age)


def _is_he(asked: Authorization, now: SessionFacts) -> bool:
    return not asked.subjects or now.user.id in asked.subjects


def _fits(asked: Authorization, now: SessionFacts) -> bool:
    return _is_he(asked, now) and claims.reaches(asked.claims, now.session.acr)


def _check_who(waiting: AuthorizationRequest, asked: Authorization, known: Known) -> None:
    """After a sign-in that the client can have no answer of, its request is over."""
    now = _session(known)
    if _fits(asked, now):
        return
    over = (AuthorizationDenied(waiting, now.user.id),)
    if _is_he(asked, now):
        raise _told(UnmetAuthenticationRequirements("the sign-in was not as strong as asked", events=over), asked)
    raise _told(AccessDenied("another user than the one asked for signed in", reason="user_other", events=over), asked)


def _is_asked(asked: Authorization, known: Known) -> bool:
    before = _remembered(asked, known)
    return "consent" in asked.prompt or consent.is_needed(_client(known), asked.redirect_uri, asked.scope, before)


def _remembered(asked: Authorization, known: Known) -> Scope:
    return consent.remembered(known.grants, asked.api_id, _account(asked, known))


def _account(asked: Authorization, known: Known) -> str | None:
    of_api = (grant for grant in known.grants if grant.api_id == asked.api_id)
    return consent.account(known.accounts, of_api)


def _refuse_to_wait(asked: Authorization, anew: bool) -> None:
    """T016: `prompt=none` is answered at once."""
    if "none" in asked.prompt:
        refusal = LoginRequired("nobody is signed in") if anew else ConsentRequired("the user was not asked yet")
        raise _told(refusal, asked)


def _told(refusal: Refusal, asked: Authorization) -> Refusal:
    refusal.goes_to = asked.destination
    return refusal


def _denied(waiting: AuthorizationRequest, asked: Authorization, known: Known) -> Refusal:
    event = AuthorizationDenied(waiting, _session(known).user.id)
    return _told(AccessDenied("the user did not allow it", events=(event,)), asked)


def _wait(
    asked: Authorization, browser: Browser, known: Known, anew: bool, policy: Policy, moment: Moment
) -> Decision[Response | Page | ComeAgain]:
    """A browser's requests share its cookie, so that two windows do not end each other's."""
    had = browser.cookie if is_cookie(browser.cookie) else None
    cookie = had or jwt.b64url_encode(moment.random(32))
    too_old = known.session.session.id if known.session is not None and anew else None
    waiting = AuthorizationRequest(
        moment.id("authorization"), digest(cookie), asked.client_id, browser.address, asked.kept(), too_old,
        moment.now, moment.now + policy.authorization_lifetime,
    )  # fmt: skip
    page = Page(LOGIN if anew else CONSENT, waiting.id, asked.ui_locales, None if had else cookie)
    return Decision(page, (AuthorizationRequested(waiting),))


def _resumed(request: Resumed, facts: WaitingFacts, moment: Moment) -> tuple[AuthorizationRequest, Authorization]:
    """T036: whoever has the id alone has nothing. What an administrator changed meanwhile counts."""
    waiting, shown = facts.request, digest(request.browser.cookie or "")
    is_its_browser = waiting is not None and hmac.compare_digest(waiting.digest, shown)
    if waiting is None or not is_its_browser or waiting.ended_at is not None or moment.now >= waiting.expires_at:
        raise InvalidRequest("there is no such authorization in this browser", reason="authorization_over")
    asked = Authorization.of(waiting.asked)
    if not authorization.still_holds(asked, facts.known.client):
        raise InvalidRequest("the client was changed meanwhile", reason="authorization_over")
    return waiting, asked


def _is_stale(waiting: AuthorizationRequest, asked: Authorization, known: Known) -> bool:
    """Each sign-in has a session of its own, so that no older one passes for it (T150); nor does an older sign-in.

    Who came from elsewhere may have a fresh session, and have signed in there long ago.
    """
    age = 0 if "login" in asked.prompt else asked.max_age
    if known.session is None or known.session.session.id == waiting.session_id:
        return True
    return age is not None and known.session.session.auth_time < waiting.created_at - age - session.FRESH_LEEWAY


def _question(waiting: AuthorizationRequest, asked: Authorization, known: Known) -> Question:
    client, before = _client(known), _remembered(asked, known)
    granted = authorization.granted_at(known.client, asked.api_id) if known.client else None
    lines = tuple(
        Asked(name, consent.sentence(name, granted), bool(before) and name not in before, name in consent.ALWAYS)
        for name in sorted(asked.scope, key=lambda name: (name in consent.OIDC, name))
    )
    return Question(
        waiting.id, client, _session(known).user.username, redirect_uri.host(asked.redirect_uri),
        redirect_uri.origin(asked.redirect_uri), lines, known.accounts, _account(asked, known),
        redirect_uri.is_loopback(asked.redirect_uri),
    )  # fmt: skip


def _issue(
    asked: Authorization, known: Known, scope: Scope, account_id: str | None, policy: Policy, moment: Moment,
    waiting: AuthorizationRequest | None = None,
) -> Decision[Response]:  # fmt: skip
    """T030: 256 bits, of which the SHA-256 is kept, for a minute."""
    now, text = _session(known), jwt.b64url_encode(moment.random(32))
    grant = Grant(
        moment.id("grant"), asked.client_id, asked.api_id, scope, moment.now, user_id=now.user.id,
        account_id=account_id, session_id=now.session.id, auth_time=now.session.auth_time or None, acr=now.session.acr,
        claims=asked.claims,
    )  # fmt: skip
    code = Code(
        digest(text), asked.client_id, now.user.id, now.session.id, grant.id, asked.redirect_uri,
        asked.code_challenge, scope, asked.api_id, asked.nonce, asked.claims, now.session.auth_time, now.session.acr,
        moment.now, moment.now + policy.code_lifetime,
    )  # fmt: skip
    return Decision(Response(asked.destination, policy.issuer, text), (CodeIssued(grant, code, waiting),))
