"""A client: registered software (RFC 6749 §2, metadata of RFC 7591 §2) with one administrator grant per api."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from doorward.protocol import registration, rotation
from doorward.protocol import secret as secrets
from doorward.protocol.account import Metadata
from doorward.protocol.admin import Asked, Nothing, Strict, current, found, invalid, metadata, named
from doorward.protocol.decision import Decision
from doorward.protocol.entities import UNUSED, Account, Api, Client, Grant, Usage
from doorward.protocol.events import ClientCreated, ClientDeleted, ClientUpdated, Event, GrantChanged, GrantCreated
from doorward.protocol.moment import Moment
from doorward.protocol.policy import Policy
from doorward.protocol.refusal import Conflict
from doorward.protocol.rotation import RotateSecret, SecretObject
from doorward.protocol.rotation_events import ClientRotationCancelled, ClientSecretRotated
from doorward.protocol.scope import within
from doorward.protocol.secret import Secret
from doorward_verify import scope as scopes

AuthMethod = Literal["client_secret_basic", "client_secret_post", "none"]
GrantType = Literal["client_credentials", "authorization_code", "refresh_token"]
IdTokenAlgorithm = Literal["RS256", "ES256"]


@dataclass(frozen=True, slots=True)
class CreateClient(Strict):
    """Without an api users can allow it no more than to know who they are (OpenID Connect)."""

    account: str
    name: str
    api: str | None = None
    scope: str | None = None
    grant_types: list[GrantType] = field(default_factory=lambda: ["client_credentials"])
    token_endpoint_auth_method: AuthMethod | None = None
    metadata: Metadata = field(default_factory=dict)
    redirect_uris: list[str] = field(default_factory=list)
    post_logout_redirect_uris: list[str] = field(default_factory=list)
    first_party: bool = False
    localhost_any_port: bool = False
    client_uri: str | None = None
    logo_uri: str | None = None
    id_token_signed_response_alg: IdTokenAlgorithm = "RS256"
    backchannel_logout_uri: str | None = None
    backchannel_logout_session_required: bool = False


@dataclass(frozen=True, slots=True)
class UpdateClient(Strict):
    """`api` with `scope` gives or changes the grant for that api. Neither a secret nor its absence can be changed."""

    name: str | None = None
    state: Literal["active", "disabled"] | None = None
    metadata: Metadata | None = None
    token_endpoint_auth_method: Literal["client_secret_basic", "client_secret_post"] | None = None
    api: str | None = None
    scope: str | None = None
    redirect_uris: list[str] | None = None
    post_logout_redirect_uris: list[str] | None = None
    first_party: bool | None = None
    localhost_any_port: bool | None = None
    client_uri: str | None = None
    logo_uri: str | None = None
    id_token_signed_response_alg: IdTokenAlgorithm | None = None
    backchannel_logout_uri: str | None = None
    backchannel_logout_session_required: bool | None = None


@dataclass(frozen=True, slots=True)
class ClientApiObject:
    api: str
    scope: str
    grant_id: str
    uses: int = 0
    last_used_at: int | None = None


@dataclass(frozen=True, slots=True)
class ClientObject:
    client_id: str
    name: str
    account: str
    grant_types: list[str]
    token_endpoint_auth_method: str | None
    apis: list[ClientApiObject]
    state: str
    metadata: Metadata
    created_at: int
    updated_at: int
    version: int
    redirect_uris: list[str]
    post_logout_redirect_uris: list[str]
    first_party: bool
    localhost_any_port: bool
    client_uri: str | None
    logo_uri: str | None
    id_token_signed_response_alg: str
    backchannel_logout_uri: str | None
    backchannel_logout_session_required: bool
    secrets: list[SecretObject]


@dataclass(frozen=True, slots=True)
class NewClientObject(ClientObject):
    """The only answer that carries the secret; a public client has none."""

    client_secret: str | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class CreateFacts:
    account: Account | None
    api: Api | None


@dataclass(frozen=True, slots=True)
class GrantFacts:
    grant: Grant
    api: Api
    usage: Usage = UNUSED


@dataclass(frozen=True, slots=True)
class ClientFacts:
    """A client with all that decides what it may do."""

    client: Client
    account: Account
    secrets: tuple[Secret, ...]
    grants: tuple[GrantFacts, ...]
    by_secret: Mapping[str, Usage] = field(default_factory=dict)

    @property
    def refs(self) -> tuple[str, ...]:
        """What these facts rest on: a change of any of it makes them stale."""
        granted = (ref for g in self.grants for ref in (f"grant/{g.grant.id}", f"api/{g.api.id}"))
        return (f"client/{self.client.id}", f"account/{self.account.id}", "deployment/all", *granted)


@dataclass(frozen=True, slots=True)
class Facts:
    client: ClientFacts | None
    api: Api | None = None


def create(asked: Asked[CreateClient], facts: CreateFacts, policy: Policy, moment: Moment) -> Decision[NewClientObject]:
    body = asked.body
    account = found(facts.account, "account")
    client = registration.checked(
        Client(
            moment.id("client"), account.id, named(body.name), tuple(body.grant_types),
            body.token_endpoint_auth_method, "active", metadata(body.metadata), moment.now, moment.now, 1,
            tuple(body.redirect_uris), tuple(body.post_logout_redirect_uris), body.first_party,
            body.localhost_any_port, body.client_uri, body.logo_uri, body.id_token_signed_response_alg,
            body.backchannel_logout_uri, body.backchannel_logout_session_required,
        )
    )  # fmt: skip
    granted = _granted(body, client, facts.api, moment)
    text, secret = None, None
    if not client.is_public:
        text, secret = secrets.mint("s", "live", client.id, brand=policy.brand, pepper=policy.pepper, moment=moment)
    made = ClientFacts(client, account, (secret,) if secret else (), granted)
    shown = NewClientObject(**_fields(made), client_secret=text)
    return Decision(shown, (ClientCreated(client, secret, tuple(one.grant for one in granted)),))


def _granted(body: CreateClient, client: Client, api: Api | None, moment: Moment) -> tuple[GrantFacts, ...]:
    """The administrator's grant, for a client that acts for itself or asks users for more than who they are."""
    if (body.api is None) != (body.scope is None):
        raise invalid("scope", "must come together with api")
    if body.scope is None:
        if "client_credentials" in client.grant_types:
            raise invalid("api", "is needed for client_credentials")
        return ()
    known = found(api, "api")
    return (GrantFacts(Grant(moment.id("grant"), client.id, known.id, within(body.scope, known), moment.now), known),)


def update(asked: Asked[UpdateClient], facts: Facts, policy: Policy, moment: Moment) -> Decision[ClientObject]:
    body = asked.body
    client = current(facts.client.client if facts.client else None, asked, "client")
    assert facts.client is not None
    asked_for = registration.checked(
        replace(
            client,
            name=client.name if body.name is None else named(body.name),
            metadata=client.metadata if body.metadata is None else metadata(body.metadata),
            **_given(body, client),
        )
    )
    grants, events = _regrant(body, facts, client, moment)
    if asked_for == client and not events:
        return Decision(show(facts.client))
    # What it is allowed is shown with it: another scope is another version of it too.
    changed = replace(asked_for, updated_at=moment.now, version=client.version + 1)
    shown = ClientFacts(changed, facts.client.account, facts.client.secrets, grants)
    return Decision(show(shown), (ClientUpdated(changed), *events))


PLAIN = (
    "state", "token_endpoint_auth_method", "first_party", "localhost_any_port", "client_uri", "logo_uri",
    "id_token_signed_response_alg", "backchannel_logout_uri", "backchannel_logout_session_required",
)  # fmt: skip
LISTS = ("redirect_uris", "post_logout_redirect_uris")


def _given(body: UpdateClient, client: Client) -> dict[str, Any]:
    """What stands in the body as it does in the client; an empty text takes an address away."""
    if body.token_endpoint_auth_method is not None and client.is_public:
        raise invalid("token_endpoint_auth_method", "cannot be changed: a public client has no secret")
    values = {name: value for name in PLAIN if (value := getattr(body, name)) is not None}
    lists = {name: tuple(value) for name in LISTS if (value := getattr(body, name)) is not None}
    return {name: None if value == "" else value for name, value in values.items()} | lists


def _regrant(
    body: UpdateClient, facts: Facts, client: Client, moment: Moment
) -> tuple[tuple[GrantFacts, ...], tuple[Event, ...]]:
    """The client's grants after the update, and the events that make them so."""
    assert facts.client is not None
    if (body.api is None) != (body.scope is None):
        raise invalid("scope", "must come together with api")
    if body.scope is None:
        return facts.client.grants, ()
    api = found(facts.api, "api")
    scope = within(body.scope, api)
    others = tuple(g for g in facts.client.grants if g.api.id != api.id)
    for old in facts.client.grants:
        if old.api.id == api.id and old.grant.scope == scope:
            return facts.client.grants, ()
        if old.api.id == api.id:
            grant = replace(old.grant, scope=scope, version=old.grant.version + 1)
            return (*others, replace(old, grant=grant, api=api)), (GrantChanged(grant),)
    grant = Grant(moment.id("grant"), client.id, api.id, scope, moment.now)
    return (*others, GrantFacts(grant, api)), (GrantCreated(grant),)


def rotate_secret(
    asked: Asked[RotateSecret], facts: Facts, policy: Policy, moment: Moment
) -> Decision[NewClientObject]:
    """A second secret beside the first one, which ends when the overlap is over."""
    client = current(facts.client.client if facts.client else None, asked, "client")
    assert facts.client is not None
    if client.is_public:
        raise Conflict("a public client has no secret")
    rotated = rotation.rotate(facts.client.secrets[-1], facts.client.secrets, asked.body, None, policy, moment)
    changed = replace(client, updated_at=moment.now, version=client.version + 1)
    kept = (*rotation.replaced(facts.client.secrets, *rotated.retired), rotated.secret)
    shown = NewClientObject(**_fields(replace(facts.client, client=changed, secrets=kept)), client_secret=rotated.text)
    return Decision(shown, (ClientSecretRotated(changed, rotated.secret, rotated.retired),))


def cancel_rotation(
    asked: Asked[Nothing], facts: Facts, policy: Policy, moment: Moment
) -> Decision[ClientObject]:  # fmt: skip
    """The new secret ends at once, and the old one goes on as before."""
    client = current(facts.client.client if facts.client else None, asked, "client")
    assert facts.client is not None
    cancelled = rotation.cancel(facts.client.secrets, moment)
    changed = replace(client, updated_at=moment.now, version=client.version + 1)
    kept = rotation.replaced(facts.client.secrets, cancelled.withdrawn, cancelled.restored)
    shown = show(replace(facts.client, client=changed, secrets=kept))
    return Decision(shown, (ClientRotationCancelled(changed, cancelled.withdrawn, cancelled.restored),))


def delete(asked: Asked[Nothing], facts: Facts, policy: Policy, moment: Moment) -> Decision[None]:
    """The grants and secrets end with the client: they are found through it and nowhere else."""
    client = current(facts.client.client if facts.client else None, asked, "client")
    return Decision(None, (ClientDeleted(replace(client, state="deleted", version=client.version + 1)),))


def show(facts: ClientFacts) -> ClientObject:
    return ClientObject(**_fields(facts))


def _fields(facts: ClientFacts) -> dict[str, Any]:
    client = facts.client
    return {
        "client_id": client.id,
        "name": client.name,
        "account": client.account_id,
        "grant_types": list(client.grant_types),
        "token_endpoint_auth_method": client.token_endpoint_auth_method,
        "apis": [
            ClientApiObject(
                g.api.identifier, scopes.text(g.grant.scope), g.grant.id, g.usage.uses, g.usage.last_used_at
            )
            for g in facts.grants
        ],
        "state": client.state,
        "metadata": dict(client.metadata),
        "created_at": client.created_at,
        "updated_at": client.updated_at,
        "version": client.version,
        "redirect_uris": list(client.redirect_uris),
        "post_logout_redirect_uris": list(client.post_logout_redirect_uris),
        "first_party": client.first_party,
        "localhost_any_port": client.localhost_any_port,
        "client_uri": client.client_uri,
        "logo_uri": client.logo_uri,
        "id_token_signed_response_alg": client.id_token_signed_response_alg,
        "backchannel_logout_uri": client.backchannel_logout_uri,
        "backchannel_logout_session_required": client.backchannel_logout_session_required,
        "secrets": [rotation.show(one, facts.by_secret.get(one.id, UNUSED)) for one in facts.secrets],
    }
