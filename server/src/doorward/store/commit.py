"""What events do to the rows: one `match` arm an entity here, one an event there; none can be forgotten."""

from __future__ import annotations

from typing import assert_never

from sqlalchemy import Connection

from doorward.protocol import events as e
from doorward.store import (
    accounts,
    admin_keys,
    api_keys,
    apis,
    clients,
    grants,
    setup_links,
    signing_keys,
    tokens,
    verifiers,
)


def apply(connection: Connection, event: e.Event, now: int) -> None:
    """Raises Stale when a guard of the event does not hold any more."""
    match event:
        # The records come first: they are many.
        case e.AccessTokenIssued() | e.TokenRevoked():
            tokens.apply(connection, event, now)
        case e.CredentialRefused():
            pass  # the journal row is all there is
        case e.ApiCreated() | e.ApiUpdated() | e.ApiDeleted():
            apis.apply(connection, event)
        case e.AccountCreated() | e.AccountUpdated():
            accounts.apply(connection, event)
        case e.ApiKeyCreated() | e.ApiKeyUpdated() | e.ApiKeyRevoked():
            api_keys.apply(connection, event)
        case e.ClientCreated() | e.ClientUpdated() | e.ClientDeleted():
            clients.apply(connection, event, now)
        case e.GrantCreated() | e.GrantChanged() | e.GrantRevoked():
            grants.apply(connection, event)
        case e.VerifierCreated() | e.VerifierRevoked():
            verifiers.apply(connection, event)
        case e.AdminKeyCreated() | e.AdminKeyRevoked():
            admin_keys.apply(connection, event)
        case e.SigningKeyCreated():
            signing_keys.apply(connection, event)
        case e.SetupLinkCreated() | e.SetupLinkUsed():
            setup_links.apply(connection, event)
        case _:
            assert_never(event)
