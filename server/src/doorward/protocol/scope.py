"""Which scope results: requested, allowed and defined by the api (RFC 6749 §3.3)."""

from __future__ import annotations

from doorward.protocol.admin import invalid
from doorward.protocol.entities import Api
from doorward.protocol.refusal import InvalidScope
from doorward_verify.scope import MalformedScope, Scope, parse


def requested(text: str | None) -> Scope | None:
    """The `scope` parameter; absent and empty are the same (T009)."""
    if not text:
        return None
    try:
        return parse(text)
    except MalformedScope:
        raise InvalidScope("scope is malformed") from None


def granted(wanted: Scope | None, allowed: Scope, api: Api) -> Scope:
    """What a token gets: all that is allowed when nothing was named, else exactly what was asked for."""
    defined = allowed & api.scopes.keys()
    if wanted is None:
        return defined
    if not wanted <= defined:
        raise InvalidScope("scope exceeds what was granted")
    return wanted


def within(text: str, api: Api) -> Scope:
    """An administrator's choice of scopes for a key or client: each must be defined by the api."""
    try:
        scope = parse(text) if text else frozenset()
    except MalformedScope:
        raise invalid("scope", "must be scope names separated by single spaces") from None
    if not scope <= api.scopes.keys():
        raise invalid("scope", "must name scopes that the api defines")
    return scope
