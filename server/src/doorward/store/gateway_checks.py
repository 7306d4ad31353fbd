"""The facts of a gateway's question: the routes, and what hangs on the credential."""

from __future__ import annotations

from doorward.protocol import gateway, gateway_check
from doorward.protocol.credential import TokenFacts
from doorward.protocol.entities import SigningKey
from doorward.store import api_keys, routes, signing_keys, tokens
from doorward.store.memory import Reader


def facts(read: Reader, request: gateway.Request) -> gateway_check.Facts:
    """Hot: answered from memory when the credential is known there."""
    table = routes.of_apis(read)
    if not request.credential:
        return gateway_check.Facts(table)
    about = gateway_check.presented(request, read.policy.brand)
    if about.kind in ("api_key", "legacy"):
        return gateway_check.Facts(table, api_keys.of_text(read, about), signing=_signing(read))
    keys = signing_keys.known(read)
    known = tokens.token(read, about, keys)
    return gateway_check.Facts(table, known if isinstance(known, TokenFacts) else None, keys, _signing(read))


def _signing(read: Reader) -> tuple[SigningKey, ...]:
    found = read(signing_keys.of_assertions, "all")
    return () if found is None else found.keys
