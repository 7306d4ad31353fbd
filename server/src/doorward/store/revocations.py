"""What `/v1/revocations` must know of the thing it is to end."""

from __future__ import annotations

from doorward.protocol import revoke as protocol
from doorward.protocol.admin import Asked
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
            keys = signing_keys.known(read)
            token = tokens.token(read, protocol.about(asked.body, read.policy.brand), keys)
            return protocol.Facts(token=token, keys=keys)
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
