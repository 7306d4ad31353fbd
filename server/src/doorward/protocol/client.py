"""A client: registered software (RFC 6749 §2) with one administrator grant per api."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Literal

from doorward.protocol import secret as secrets
from doorward.protocol.account import Metadata
from doorward.protocol.admin import Asked, Nothing, Strict, current, found, invalid, metadata, named
from doorward.protocol.decision import Decision
from doorward.protocol.entities import Account, Api, Client, Grant
from doorward.protocol.events import (
    ClientCreated,
    ClientDeleted,
    ClientUpdated,
    Event,
    GrantChanged,
    GrantCreated,
)
from doorward.protocol.moment import Moment
from doorward.protocol.policy import Policy
from doorward.protocol.scope import within
from doorward.protocol.secret import Secret
from doorward_verify import scope as scopes

AuthMethod = Literal["client_secret_basic", "client_secret_post"]
GrantType = Literal["client_credentials"]


@dataclass(frozen=True, slots=True)
class CreateClient(Strict):
    account: str
    name: str
    api: str
    scope: str
    grant_types: list[GrantType] = field(default_factory=lambda: ["client_credentials"])
    token_endpoint_auth_method: AuthMethod | None = None
    metadata: Metadata = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class UpdateClient(Strict):
    """`api` with `scope` gives or changes the grant for that api."""

    name: str | None = None
    state: Literal["active", "disabled"] | None = None
    metadata: Metadata | None = None
    token_endpoint_auth_method: AuthMethod | None = None
    api: str | None = None
    scope: str | None = None


@dataclass(frozen=True, slots=True)
class ClientApiObject:
    api: str
    scope: str
    grant_id: str


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


@dataclass(frozen=True, slots=True)
class NewClientObject(ClientObject):
    """The only answer that carries the secret."""

    client_secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class CreateFacts:
    account: Account | None
    api: Api | None


@dataclass(frozen=True, slots=True)
class GrantFacts:
    grant: Grant
    api: Api


@dataclass(frozen=True, slots=True)
class ClientFacts:
    """A client with all that decides what it may do."""

    client: Client
    account: Account
    secrets: tuple[Secret, ...]
    grants: tuple[GrantFacts, ...]

    @property
    def refs(self) -> tuple[str, ...]:
        """What these facts rest on: a change of any of it makes them stale."""
        granted = (ref for g in self.grants for ref in (f"grant/{g.grant.id}", f"api/{g.api.id}"))
        return (f"client/{self.client.id}", f"account/{self.account.id}", *granted)


@dataclass(frozen=True, slots=True)
class Facts:
    client: ClientFacts | None
    api: Api | None = None


def create(asked: Asked[CreateClient], facts: CreateFacts, policy: Policy, moment: Moment) -> Decision[NewClientObject]:
    body = asked.body
    account, api = found(facts.account, "account"), found(facts.api, "api")
    client = Client(
        moment.id("client"), account.id, named(body.name), _grant_types(body.grant_types),
        body.token_endpoint_auth_method, "active", metadata(body.metadata), moment.now, moment.now,
    )  # fmt: skip
    grant = Grant(moment.id("grant"), client.id, api.id, within(body.scope, api), moment.now)
    text, secret = secrets.mint("s", "live", client.id, brand=policy.brand, pepper=policy.pepper, moment=moment)
    made = ClientFacts(client, account, (secret,), (GrantFacts(grant, api),))
    shown = NewClientObject(**_fields(made), client_secret=text)
    return Decision(shown, (ClientCreated(client, secret, (grant,)),))


def _grant_types(given: list[GrantType]) -> tuple[str, ...]:
    if not given or len(set(given)) != len(given):
        raise invalid("grant_types", "must name each grant type once, and at least one")
    return tuple(given)


def update(asked: Asked[UpdateClient], facts: Facts, policy: Policy, moment: Moment) -> Decision[ClientObject]:
    body = asked.body
    client = current(facts.client.client if facts.client else None, asked, "client")
    assert facts.client is not None
    changed = replace(
        client,
        name=client.name if body.name is None else named(body.name),
        state=body.state or client.state,
        metadata=client.metadata if body.metadata is None else metadata(body.metadata),
        token_endpoint_auth_method=body.token_endpoint_auth_method or client.token_endpoint_auth_method,
        updated_at=moment.now,
        version=client.version + 1,
    )
    grants, events = _regrant(body, facts, client, moment)
    shown = ClientFacts(changed, facts.client.account, facts.client.secrets, grants)
    return Decision(show(shown), (ClientUpdated(changed), *events))


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
        if old.api.id == api.id:
            grant = replace(old.grant, scope=scope, version=old.grant.version + 1)
            return (*others, GrantFacts(grant, api)), (GrantChanged(grant),)
    grant = Grant(moment.id("grant"), client.id, api.id, scope, moment.now)
    return (*others, GrantFacts(grant, api)), (GrantCreated(grant),)


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
        "apis": [ClientApiObject(g.api.identifier, scopes.text(g.grant.scope), g.grant.id) for g in facts.grants],
        "state": client.state,
        "metadata": dict(client.metadata),
        "created_at": client.created_at,
        "updated_at": client.updated_at,
        "version": client.version,
    }
