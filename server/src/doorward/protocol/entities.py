"""What everything else speaks of: api, account, api key, client, grant, user, session, verifier, admin key, ...

Field names are the columns' names; times are `*_at` in seconds, spans `*_lifetime`, `version` guards updates.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from doorward.protocol.limit import ApiLimit, Limit
from doorward_verify.arrival import USUAL
from doorward_verify.scope import Scope

JSON = str | int | float | bool | None | list["JSON"] | dict[str, "JSON"]


@dataclass(frozen=True, slots=True)
class Api:
    """A protected resource: `identifier` is the `aud` of its tokens (RFC 8707)."""

    id: str
    identifier: str
    name: str
    scopes: Mapping[str, str]
    token_format: str
    token_lifetime: int
    signing_algorithm: str
    claims: Mapping[str, str]
    created_at: int
    updated_at: int
    version: int = 1
    status_list: bool = False
    limits: tuple[ApiLimit, ...] = ()
    legacy: bool = False  # whether it takes keys that were made elsewhere
    self_service: Scope = frozenset()  # what users may give keys that they make themselves; nothing: they make none
    transports: tuple[str, ...] = USUAL
    browsers: str = "flag"
    unused_key_lifetime: int | None = None
    key_lifetime_limit: int | None = None
    key_policy_at: int | None = None  # when one of these two was last changed
    routes: tuple[Mapping[str, JSON], ...] = ()


@dataclass(frozen=True, slots=True)
class Account:
    """A customer of the API; suspending it stops every credential of it."""

    id: str
    name: str
    state: str
    metadata: Mapping[str, JSON]
    created_at: int
    updated_at: int
    version: int = 1
    limits: tuple[Limit, ...] = ()


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A secret of an account for one api; its `id` outlives each of its secrets. `user_id` made it on his own page."""

    id: str
    account_id: str
    api_id: str
    name: str
    environment: str
    scope: Scope
    state: str
    expires_at: int | None
    metadata: Mapping[str, JSON]
    created_at: int
    updated_at: int
    revoked_at: int | None = None
    version: int = 1
    networks: tuple[str, ...] = ()
    limits: tuple[Limit, ...] = ()
    user_id: str | None = None
    seen_in_url_at: int | None = None
    seen_in_browser_at: int | None = None


@dataclass(frozen=True, slots=True)
class Client:
    """Registered software (RFC 6749 §1.1); an absent authentication method allows Basic and post."""

    id: str
    account_id: str
    name: str
    grant_types: tuple[str, ...]
    token_endpoint_auth_method: str | None
    state: str
    metadata: Mapping[str, JSON]
    created_at: int
    updated_at: int
    version: int = 1
    redirect_uris: tuple[str, ...] = ()
    post_logout_redirect_uris: tuple[str, ...] = ()
    first_party: bool = False
    localhost_any_port: bool = False
    client_uri: str | None = None
    logo_uri: str | None = None
    id_token_signed_response_alg: str = "RS256"
    backchannel_logout_uri: str | None = None
    backchannel_logout_session_required: bool = False

    @property
    def is_public(self) -> bool:
        """RFC 6749 §2.1: it can keep no secret, and has none."""
        return self.token_endpoint_auth_method == "none"


@dataclass(frozen=True, slots=True)
class Grant:
    """What a client was allowed at one api: the root that revocation cuts.

    Without a user it is an administrator's: what the client may do for itself, and the most that users can allow it.
    Of a user it is one authorization: without an api it opens /oauth/userinfo alone, and `account_id` is whom the
    client acts for. `tokens_revoked_at` ends its tokens, and leaves what the user allowed; `revoked_at` ends both.
    """

    id: str
    client_id: str
    api_id: str | None
    scope: Scope
    created_at: int
    revoked_at: int | None = None
    version: int = 1
    user_id: str | None = None
    account_id: str | None = None
    session_id: str | None = None
    auth_time: int | None = None
    acr: str | None = None
    claims: Mapping[str, JSON] = field(default_factory=dict)
    tokens_revoked_at: int | None = None

    @property
    def has_ended(self) -> bool:
        """Whether its tokens are dead."""
        return self.revoked_at is not None or self.tokens_revoked_at is not None


@dataclass(frozen=True, slots=True)
class AuthorizationRequest:
    """A browser on its way to a code: `digest` is of the cookie that it must show, `asked` is what was checked.

    `session_id` names the session that was too old for the request: a fresh sign-in has another one.
    """

    id: str
    digest: str = field(repr=False)
    client_id: str
    address: str
    asked: Mapping[str, JSON]
    session_id: str | None
    created_at: int
    expires_at: int
    ended_at: int | None = None


@dataclass(frozen=True, slots=True)
class Code:
    """An authorization code by the SHA-256 of its text; it is kept for a day, so that a second use is noticed."""

    digest: str = field(repr=False)
    client_id: str
    user_id: str
    session_id: str
    grant_id: str
    redirect_uri: str
    code_challenge: str
    scope: Scope
    api_id: str | None
    nonce: str | None
    claims: Mapping[str, JSON]
    auth_time: int
    acr: str
    created_at: int
    expires_at: int
    redeemed_at: int | None = None


@dataclass(frozen=True, slots=True)
class RefreshToken:
    """`expires_at` is when it was idle for too long, `ends_at` when no token of its family lives any more.

    `successor` is the text of the next one, sealed under a key that only this one's text gives.
    """

    id: str
    mac: bytes = field(repr=False)
    pepper_version: int
    grant_id: str
    client_id: str
    scope: Scope
    created_at: int
    expires_at: int
    ends_at: int
    rotated_at: int | None = None
    successor_id: str | None = None
    successor: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Usage:
    """How often an api key, a secret of it, or a token of a grant was used, and when last, from where and by what.

    `late_uses` are those of a secret since it was superseded.
    """

    uses: int = 0
    last_used_at: int | None = None
    address: str = ""
    user_agent: str = ""
    late_uses: int = 0


UNUSED = Usage()


@dataclass(frozen=True, slots=True)
class Verifier:
    """A service that checks credentials of one api."""

    id: str
    api_id: str
    name: str
    state: str
    created_at: int
    revoked_at: int | None = None
    version: int = 1


@dataclass(frozen=True, slots=True)
class AdminKey:
    """A credential for /v1; `scope` says which entities it may read or write."""

    id: str
    name: str
    scope: Scope
    owner: str
    networks: tuple[str, ...]
    state: str
    expires_at: int | None
    created_at: int
    revoked_at: int | None = None
    version: int = 1


@dataclass(frozen=True, slots=True)
class SigningKey:
    """Signs what its `purpose` says; `private_key` is sealed under the master key, opened by `sign.py` alone.

    It is empty once nothing signs with the key any more; `created_at` is also when it was first published.
    """

    id: str
    algorithm: str
    state: str
    public_jwk: Mapping[str, JSON]
    private_key: bytes = field(repr=False)
    created_at: int
    activated_at: int | None = None
    version: int = 1
    purpose: str = "token"
    retired_at: int | None = None
    removed_at: int | None = None


@dataclass(frozen=True, slots=True)
class OpaqueToken:
    """An access token that is a random string; `claims` is what introspection answers."""

    id: str
    mac: bytes = field(repr=False)
    pepper_version: int
    grant_id: str
    client_id: str
    account_id: str
    api_id: str
    claims: Mapping[str, JSON]
    created_at: int
    expires_at: int
    revoked_at: int | None = None


@dataclass(frozen=True, slots=True)
class ListedToken:
    """A JWT that has a bit in a status list, and what it hangs on; `position` is the `seq` of its facts."""

    id: str
    list_id: int
    idx: int
    grant_id: str
    client_id: str
    account_id: str
    signing_key_id: str
    position: int
    expires_at: int


@dataclass(frozen=True, slots=True)
class Leak:
    """A secret that was found where it does not belong: once, however often it is reported.

    `credential_id` is the public id of the secret, or the `jti`; `owner_id` is whose it is: a key, client, grant, ...
    """

    id: str
    credential: str
    credential_id: str
    owner_id: str
    account_id: str | None
    outcome: str
    origin: str
    locations: tuple[str, ...]
    created_at: int
    updated_at: int
    version: int = 1


@dataclass(frozen=True, slots=True)
class SetupLink:
    """A one-time permission to create the first admin key; `digest` is SHA-256 of what the link carries."""

    digest: str = field(repr=False)
    expires_at: int
    created_at: int
    used_at: int | None = None
