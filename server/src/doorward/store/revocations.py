"""What `/v1/revocations` must know of the thing it is to end."""

from __future__ import annotations

from doorward.protocol import revoke as protocol
from doorward.protocol.admin import Asked
from doorward.protocol.credential import Presented
from doorward.protocol.entities import Grant
from doorward.store import accounts, api_keys, clients, rows, signing_keys, tokens, users
from doorward.store.memory import Reader
from doorward.store.tables import grants


def facts(read: Reader, asked: Asked[protocol.Revoke]) -> protocol.Facts:
    kind, value = protocol.named(asked.body)
    read.rely(f"{kind}/{value}")
    connection = read.connection
    match kind:
        case "token":
            return _of_text(read, protocol.about(asked.body, read.policy.brand))
        case "grant":
            return protocol.Facts(grant=rows.find(connection, grants, Grant, value))
        case "client":
            return protocol.Facts(client=clients.by_id(connection, value))
        case "account":
            return protocol.Facts(account=accounts.by_id(connection, value))
        case "user":
            return protocol.Facts(user=users.facts(read, Asked(None, id=value)))
        case "signing_key":
            return protocol.Facts(signing_keys=signing_keys.facts(read, asked))
        case "everything":
            return protocol.Facts()
        case _:
            return protocol.Facts(api_key=api_keys.by_id(connection, value))


def _of_text(read: Reader, about: Presented) -> protocol.Facts:
    if about.kind in ("api_key", "legacy"):
        known = api_keys.of_text(read, about)
        return protocol.Facts(api_key=api_keys.by_id(read.connection, known.api_key.id) if known else None)
    keys = signing_keys.known(read)
    return protocol.Facts(token=tokens.token(read, about, keys), keys=keys)
