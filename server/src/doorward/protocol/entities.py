"""What everything else speaks of: api, account, api key, client, grant, verifier, admin key, signing key.

Field names are the columns' names; times are `*_at` in seconds, spans `*_lifetime`, `version` guards updates.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

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


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A secret of an account for one api; its `id` outlives each of its secrets."""

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


@dataclass(frozen=True, slots=True)
class Grant:
    """What an administrator allowed a client at one api: the root that revocation cuts."""

    id: str
    client_id: str
    api_id: str
    scope: Scope
    created_at: int
    revoked_at: int | None = None
    version: int = 1


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
    """Signs tokens or the feed (`purpose`); `private_key` is sealed under the master key, opened by `sign.py` alone."""

    id: str
    algorithm: str
    state: str
    public_jwk: Mapping[str, JSON]
    private_key: bytes = field(repr=False)
    created_at: int
    activated_at: int | None = None
    version: int = 1
    purpose: str = "token"


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
class SetupLink:
    """A one-time permission to create the first admin key; `digest` is SHA-256 of what the link carries."""

    digest: str
    expires_at: int
    created_at: int
    used_at: int | None = None
