"""Keys that users make, rotate and end on their own page, for the accounts that they belong to (T165, T166).

An api says which of its scopes users may give; what is not among them no user gets, by a new key or by a new secret of
an old one. Whoever takes a secret away signed in a while ago at most, or shows his password.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from doorward.protocol import api_key
from doorward.protocol import secret as secrets
from doorward.protocol.admin import Asked
from doorward.protocol.api_key import NewKeyObject
from doorward.protocol.decision import Decision
from doorward.protocol.entities import UNUSED, Account, Api, ApiKey, Usage
from doorward.protocol.events import ApiKeyRevoked, CredentialRefused
from doorward.protocol.key_events import ApiKeySelfMade
from doorward.protocol.membership import MANAGERS
from doorward.protocol.moment import Moment
from doorward.protocol.password import Checked, WrongPassword
from doorward.protocol.people import Membership, Session
from doorward.protocol.policy import DAY, Policy
from doorward.protocol.refusal import Conflict, NotFound, Refusal, Unprocessable
from doorward.protocol.rotation import RotateKey
from doorward.protocol.secret import Secret
from doorward.protocol.user import UserFacts
from doorward_verify.scope import Scope

# Of one account, made by users and alive.
LIVE_LIMIT = 50
FRESH_FOR = 15 * 60
LIFETIMES = (30 * DAY, 90 * DAY, 365 * DAY)
# How long an old secret outlives the first use of the new one.
OVERLAPS = (DAY, 7 * DAY, 0)
NAME_LIMIT = 100


class SignInOld(Refusal):
    """Whoever makes a key has to have signed in lately; who has a password shows that instead."""

    status = 403
    error = "access_denied"
    default_reason = "sign_in_old"


@dataclass(frozen=True, slots=True)
class Held:
    """A key as a member of its account sees it."""

    key: ApiKey
    api: Api
    secret: Secret | None
    usage: Usage = UNUSED


@dataclass(frozen=True, slots=True)
class Offer:
    """What a user may make keys for: accounts that he manages, and apis that are open to it."""

    accounts: tuple[Account, ...]
    apis: tuple[Api, ...]


@dataclass(frozen=True, slots=True)
class Proof:
    """`checked` is of the present password, where it was asked for."""

    user_id: str
    session_id: str
    checked: Checked | None = None


@dataclass(frozen=True, slots=True)
class Make:
    proof: Proof
    account_id: str
    api_id: str
    scope: Scope
    name: str
    environment: str
    lifetime: int


@dataclass(frozen=True, slots=True)
class Rotate:
    proof: Proof
    key_id: str
    overlap: int


@dataclass(frozen=True, slots=True)
class EndKey:
    user_id: str
    key_id: str


@dataclass(frozen=True, slots=True)
class MakeFacts:
    """`ends` are the ends of the account's keys that users made and nobody revoked, those that live longest."""

    user: UserFacts | None = None
    session: Session | None = None
    account: Account | None = None
    api: Api | None = None
    ends: tuple[int | None, ...] = ()


@dataclass(frozen=True, slots=True)
class KeyFacts:
    known: api_key.Facts = field(default_factory=lambda: api_key.Facts(None))
    user: UserFacts | None = None
    session: Session | None = None


def make(request: Make, facts: MakeFacts, policy: Policy, moment: Moment) -> Decision[NewKeyObject]:
    account, api, user = facts.account, facts.api, facts.user
    if account is None or api is None or user is None or not api.self_service or not may_manage(user, account):
        raise NotFound("there is nothing to make a key for")
    _prove(request.proof, facts, moment)
    _check(request, api)
    if sum(ends_at is None or moment.now < ends_at for ends_at in facts.ends) >= LIVE_LIMIT:
        raise Conflict("the account has as many keys as it may", reason="keys_too_many")
    key = ApiKey(
        moment.id("key"), account.id, api.id, request.name, request.environment, request.scope, "active",
        moment.now + _lifetime(request, api), {}, moment.now, moment.now, user_id=user.user.id,
    )  # fmt: skip
    text, secret = secrets.mint(
        "", request.environment, key.id, brand=policy.brand, pepper=policy.pepper, moment=moment
    )  # fmt: skip
    shown = api_key.show(api_key.Facts(key, (secret,), account, api), policy)
    return Decision(api_key.with_text(shown, text), (ApiKeySelfMade(key, secret),))


def _lifetime(request: Make, api: Api) -> int:
    """No longer than the rule of the api: it would end by that, whatever the page says."""
    limit = api.key_lifetime_limit
    return request.lifetime if limit is None else min(request.lifetime, limit)


def _check(request: Make, api: Api) -> None:
    if not request.scope or not request.scope <= api.self_service:
        raise Unprocessable("the scopes are none, or not offered", reason="key_scope_unfit")
    name = request.name
    if not 1 <= len(name) <= NAME_LIMIT or not name.isprintable() or name.strip() != name:
        raise Unprocessable(f"a name has 1 to {NAME_LIMIT} printable characters", reason="key_name_unfit")
    if request.lifetime not in LIFETIMES or request.environment not in ("live", "test"):
        raise Unprocessable("the lifetime or environment is not offered", reason="request_malformed")


def _prove(proof: Proof, facts: MakeFacts | KeyFacts, moment: Moment) -> None:
    if is_fresh(facts.session, moment.now):
        return
    if proof.checked is None or facts.user is None:
        raise SignInOld("the sign-in is too long ago")
    if not proof.checked.holds(facts.user.password):
        refused = CredentialRefused("password", proof.user_id, "password_wrong")
        raise WrongPassword("the present password is another one", events=(refused,))


def is_fresh(session: Session | None, now: int) -> bool:
    """A login elsewhere may not say when it was; what counts is then when it was shown here."""
    if session is None or session.ended_at is not None:
        return False
    return now < (session.auth_time or session.created_at) + FRESH_FOR


def rotate(request: Rotate, facts: KeyFacts, policy: Policy, moment: Moment) -> Decision[NewKeyObject]:
    """A new secret of the same key: id, scopes and end stay."""
    key, api = _managed(facts), facts.known.api
    _prove(request.proof, facts, moment)
    if api is None or not may_rotate(key, api, moment.now) or request.overlap not in OVERLAPS:
        raise Conflict("the key cannot be rotated here", reason="key_not_self_served")
    left = moment.now + request.overlap if key.expires_at is None else key.expires_at
    body = RotateKey(min(request.overlap, left - moment.now), "first_use" if request.overlap else "now")
    return api_key.rotate(Asked(body), facts.known, policy, moment)


def may_rotate(key: ApiKey, api: Api, now: int) -> bool:
    """Whose scopes are all open to users: else a new secret would give one more than he may take."""
    lives = key.state == "active" and (key.expires_at is None or now < key.expires_at)
    return lives and bool(key.scope) and key.scope <= api.self_service


def end_key(request: EndKey, facts: KeyFacts, policy: Policy, moment: Moment) -> Decision[None]:
    """For owners and developers of its account; to everybody else there is no such key."""
    key = _managed(facts)
    if key.state == "revoked":
        return Decision(None)
    revoked = replace(key, state="revoked", revoked_at=moment.now, updated_at=moment.now, version=key.version + 1)
    return Decision(None, (ApiKeyRevoked(revoked),))


def _managed(facts: KeyFacts) -> ApiKey:
    key, account, user = facts.known.api_key, facts.known.account, facts.user
    if key is None or account is None or user is None or key.state == "decoy" or not may_manage(user, account):
        raise NotFound("there is no such api key")
    return key


def may_manage(user: UserFacts, account: Account) -> bool:
    """Nobody manages anything of a suspended account, and nothing is managed by a disabled user."""
    lives = user.user.state == "active" and account.state == "active"
    return lives and any(manages(one, account.id) for one in user.memberships)


def manages(membership: Membership, account_id: str) -> bool:
    return membership.account_id == account_id and membership.role in MANAGERS
