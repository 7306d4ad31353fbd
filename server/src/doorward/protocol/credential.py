"""Is a presented credential good now? One answer for api keys, opaque tokens and JWTs (promise 2)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from doorward.protocol import grant, limit, rotation, use
from doorward.protocol.client import ClientFacts
from doorward.protocol.entities import JSON, Account, Api, ApiKey, Client, Grant, OpaqueToken, RefreshToken
from doorward.protocol.grant import UserGrantFacts
from doorward.protocol.limit import Charge
from doorward.protocol.moment import Moment, Position
from doorward.protocol.people import User
from doorward.protocol.policy import Policy
from doorward.protocol.replay import HELD
from doorward.protocol.rotation_events import ApiKeyOverlapBegun
from doorward.protocol.secret import Secret
from doorward.protocol.token import read
from doorward.protocol.use import Used
from doorward_verify import access_token, api_key, jwt
from doorward_verify import scope as scopes
from doorward_verify.errors import InvalidToken as BadToken
from doorward_verify.scope import Scope


@dataclass(frozen=True, slots=True)
class Presented:
    """A credential by its full text, or by its digest alone."""

    kind: str  # "api_key", "opaque", "refresh_token", "jwt", "legacy" (perhaps an imported key), or "unknown"
    id: str = ""
    digest: bytes = b""
    jwt: str = ""


@dataclass(frozen=True, slots=True)
class ApiKeyFacts:
    api_key: ApiKey
    secret: Secret
    account: Account
    api: Api
    waiting: Secret | None = None  # an older secret, whose overlap begins when this one is used

    @property
    def refs(self) -> tuple[str, ...]:
        """An end of everything ends no key, but what was told of one before it is older than that."""
        return (f"api_key/{self.api_key.id}", f"account/{self.account.id}", f"api/{self.api.id}", "deployment/all")


@dataclass(frozen=True, slots=True)
class TokenFacts:
    """What an access token hangs on: it lives exactly as long as its grant.

    `account` is the client's. Of a user's grant there are the user, and the account of his that the client acts for;
    without an api the token is for the issuer itself.
    """

    jti: str
    revoked: bool
    grant: Grant
    client: Client
    account: Account
    api: Api | None
    opaque: OpaqueToken | None = None
    cut_off: int = 0  # the `seq` at which something that it hangs on was last ended, if it lives again or not
    user: User | None = None
    acts_for: Account | None = None

    @property
    def refs(self) -> tuple[str, ...]:
        hung_on = (("api", self.api), ("user", self.user), ("account", self.acts_for))
        return (
            f"token/{self.jti}", f"grant/{self.grant.id}", f"client/{self.client.id}", f"account/{self.account.id}",
            "deployment/all", *(f"{noun}/{entity.id}" for noun, entity in hung_on if entity is not None),
            *((f"session/{self.grant.session_id}",) if self.grant.session_id else ()),
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class RefreshTokenFacts:
    """A refresh token with all that decides whether it would be accepted."""

    token: RefreshToken
    granted: UserGrantFacts
    client: ClientFacts

    @property
    def refs(self) -> tuple[str, ...]:
        return f"refresh_token/{self.token.id}", *self.granted.refs, *self.client.refs


@dataclass(frozen=True, slots=True)
class Verdict:
    """`reason` is None when the credential is good. `exists`: possession was proven. `claims` are a token's."""

    reason: str | None
    exists: bool = False
    kind: str = ""
    id: str = ""
    claims: Mapping[str, JSON] | None = None
    api: Api | None = None
    client_id: str | None = None

    @property
    def active(self) -> bool:
        return self.reason is None


UNKNOWN = Verdict("credential_unknown")
MALFORMED = Verdict("credential_malformed")


def presented(text: str, brand: str) -> Presented:
    """What kind of credential a text is; what cannot be ours is refused without the database (T160)."""
    text = api_key.strip_uri_scheme(text)
    if text.count(".") == 2:
        return Presented("jwt", jwt=text)
    try:
        found = api_key.parse(text, brand)
    except api_key.MalformedCredential:
        is_legacy = api_key.may_be_legacy(text, brand)
        return Presented("legacy", digest=api_key.digest(text)) if is_legacy else Presented("unknown")
    kind = {"": "api_key", "o": "opaque", "r": "refresh_token"}.get(found.kind, "unknown")
    return Presented(kind, found.id, api_key.digest(text))


def check_api_key(digest: bytes, facts: ApiKeyFacts | None, policy: Policy, moment: Moment) -> Verdict:
    matches = policy.pepper.matches(digest, facts.secret if facts else None)
    if facts is None or not matches:
        return UNKNOWN
    return Verdict(_api_key_ended(facts, moment.now), True, "api_key", facts.api_key.id, None, facts.api)


def _api_key_ended(facts: ApiKeyFacts, now: int) -> str | None:
    key = facts.api_key
    if key.state == "decoy":
        return "decoy"
    if key.state == "revoked" or facts.secret.revoked_at is not None:
        return "credential_revoked"
    if key.state != "active":
        return "credential_held" if key.state == HELD else "credential_inactive"
    if not facts.secret.is_live(now) or (key.expires_at is not None and now >= key.expires_at):
        return "credential_expired"
    if facts.account.state != "active":
        return "account_suspended"
    return "legacy_closed" if facts.secret.legacy is not None and not facts.api.legacy else None


def first_use(facts: ApiKeyFacts, now: int) -> tuple[ApiKeyOverlapBegun, ...]:
    """What the use of a good key changes: if an older secret waits for it, the overlap of that one begins."""
    if facts.waiting is None or not facts.waiting.is_live(now):
        return ()
    return (ApiKeyOverlapBegun(facts.api_key, rotation.begun(facts.waiting, now)),)


def used(
    facts: ApiKeyFacts | TokenFacts, reason: str | None, now: int, address: str | None = None, agent: str | None = None
) -> Used:
    """What is counted of a credential that exists and was shown; `reason` is why it was refused."""
    told = (address or "")[: use.ADDRESS_LIMIT], (agent or "")[: use.USER_AGENT_LIMIT]
    result = use.ACTIVE if reason is None else use.result(reason)
    if isinstance(facts, TokenFacts):
        account = facts.account if facts.acts_for is None else facts.acts_for
        return Used("grant", facts.grant.id, 1, now, result, account.id, "", False, *told)
    key, secret = facts.api_key, facts.secret
    is_old = secret.superseded_at is not None
    return Used("api_key", key.id, 1, now, result, key.account_id, secret.id, is_old, *told)


def charges(facts: ApiKeyFacts, cost: int, now: int) -> tuple[Charge, ...]:
    """What a check of a good key costs of each limit that it has, its account has, and its api has."""
    key, account, api = facts.api_key, facts.account, facts.api
    if not (key.limits or account.limits or api.limits):
        return ()
    return limit.charges(key.id, account.id, api.id, key.limits, account.limits, api.limits, cost, now)


def check_refresh_token(digest: bytes, facts: RefreshTokenFacts | None, policy: Policy, moment: Moment) -> Verdict:
    """For its client alone (T059): without an api no verifier may see it."""
    matches = policy.pepper.matches(digest, _secret_of(facts.token) if facts else None)
    if facts is None or not matches:
        return UNKNOWN
    token, granted = facts.token, facts.granted
    reason = "credential_revoked" if token.rotated_at is not None or grant.why_ended(granted, facts.client) else None
    if moment.now >= min(token.expires_at, token.ends_at):
        reason = reason or "credential_expired"
    claims: dict[str, JSON] = {
        "iss": policy.issuer, "sub": granted.user.id, "client_id": token.client_id,
        "scope": scopes.text(token.scope), "iat": token.created_at, "exp": min(token.expires_at, token.ends_at),
        "grant_id": granted.grant.id,
    }  # fmt: skip
    return Verdict(reason, True, "refresh_token", token.id, claims, None, token.client_id)


def ends_at(facts: ApiKeyFacts) -> int | None:
    """The end of the key, or of this secret of it if that comes first."""
    return min((at for at in (facts.api_key.expires_at, facts.secret.expires_at) if at is not None), default=None)


def scope(facts: ApiKeyFacts) -> Scope:
    """What the key may do: not what its api no longer defines."""
    return facts.api_key.scope & facts.api.scopes.keys()


def api_key_claims(facts: ApiKeyFacts, policy: Policy) -> dict[str, JSON]:
    """What introspection tells of a key (RFC 7662 §2.2): the same members as of a token, where they apply."""
    key, api = facts.api_key, facts.api
    claims: dict[str, JSON] = {
        "iss": policy.issuer,
        "sub": key.account_id,
        "aud": api.identifier,
        "scope": scopes.text(scope(facts)),
        "iat": key.created_at,
        "account": key.account_id,
        "key_id": key.id,
        "secret_id": facts.secret.id,
        "environment": key.environment,
    }
    expires_at = ends_at(facts)
    if expires_at is not None:
        claims["exp"] = expires_at
    if key.networks:
        claims["networks"] = list(key.networks)
    for name, source in api.claims.items():
        noun, _, path = source.partition(".")
        value = read({"account": facts.account, "key": key}[noun], path) if noun != "client" else None
        if value is not None:
            claims[name] = value
    # Last: what says how the key may be sent is no claim that could be mapped.
    return claims | {"transports": list(api.transports), "browsers": api.browsers}


def _secret_of(token: OpaqueToken | RefreshToken) -> Secret:
    return Secret(token.id, "", "live", "", token.mac, token.pepper_version, token.created_at)


def check_opaque(digest: bytes, facts: TokenFacts | None, policy: Policy, moment: Moment) -> Verdict:
    token = None if facts is None else facts.opaque
    matches = policy.pepper.matches(digest, _secret_of(token) if token else None)
    if facts is None or token is None or not matches:
        return UNKNOWN
    return _token_verdict("opaque", facts, token.claims, token.expires_at, moment)


def check_jwt(text: str, facts: TokenFacts | None, keys: jwt.Keys, policy: Policy, moment: Moment) -> Verdict:
    """A JWT of ours: signature, profile and time first, then whether anything it hangs on has ended."""
    try:
        claims = jwt.parse(text).claims
        audience = claims.get("aud")
        if not isinstance(audience, str):
            return UNKNOWN
        access_token.verify(text, keys, issuer=policy.issuer, audience=audience, now=moment.now)
    except (BadToken, access_token.KeyUnknown) as bad:
        return Verdict(getattr(bad, "reason", "signing_key_unknown"))
    if facts is None or not _agree(claims, facts, policy):
        return UNKNOWN
    return _token_verdict("jwt", facts, claims, int(claims["exp"]), moment)


def _agree(claims: Mapping[str, JSON], facts: TokenFacts, policy: Policy) -> bool:
    """What the token says of itself is what its grant says: two sources must not tell two stories."""
    audience = facts.api.identifier if facts.api else policy.issuer
    if claims["aud"] != audience or claims["client_id"] != facts.client.id:
        return False
    if facts.user is None:
        return claims.get("account", facts.account.id) == facts.account.id
    acts_for = facts.acts_for.id if facts.acts_for else None
    return (claims["sub"], claims.get("account")) == (facts.user.id, acts_for)


def _token_verdict(
    kind: str, facts: TokenFacts, claims: Mapping[str, JSON], expires_at: int, moment: Moment
) -> Verdict:
    reason = _token_ended(facts, expires_at, moment.now)
    if reason is None and _is_cut_off(claims, facts, moment):
        reason = "credential_revoked"
    return Verdict(reason, True, kind, facts.jti, claims, facts.api, facts.client.id)


def _is_cut_off(claims: Mapping[str, JSON], facts: TokenFacts, moment: Moment) -> bool:
    """Older than the last end of its client, account or everything, or than the last restore (decision 3, T103)."""
    try:
        issued_at = Position.parse(str(claims.get("pos")))
    except ValueError:
        return True
    return issued_at < Position(moment.position.epoch, facts.cut_off)


def _token_ended(facts: TokenFacts, expires_at: int, now: int) -> str | None:
    if facts.revoked or facts.grant.has_ended:
        return "credential_revoked"
    if now >= expires_at:
        return "credential_expired"
    if facts.client.state != "active":
        return "client_disabled"
    if facts.user is not None and facts.user.state != "active":
        return "user_disabled"
    if any(account is not None and account.state != "active" for account in (facts.account, facts.acts_for)):
        return "account_suspended"
    return None
