"""What happens on the way from a browser's request to tokens, and to them: events like those of `protocol.events`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from doorward.protocol.entities import JSON, AuthorizationRequest, Code, Grant, RefreshToken


@dataclass(frozen=True, slots=True)
class AuthorizationRequested:
    """A record: somebody has to sign in, or to be asked, before there is a code."""

    entity: ClassVar[str] = "authorization_request"
    request: AuthorizationRequest


@dataclass(frozen=True, slots=True)
class AuthorizationDenied:
    """The user said no."""

    entity: ClassVar[str] = "authorization_request"
    request: AuthorizationRequest
    user_id: str


@dataclass(frozen=True, slots=True)
class CodeIssued:
    """What a user allowed, and the code for it; it ends the request that the browser came with, if there was one."""

    entity: ClassVar[str] = "grant"
    grant: Grant
    code: Code
    request: AuthorizationRequest | None = None


@dataclass(frozen=True, slots=True)
class CodeRedeemed:
    """Once. Grant and code belong to each other, so that no journal has to hold a digest."""

    entity: ClassVar[str] = "code"
    code: Code


@dataclass(frozen=True, slots=True)
class RefreshTokenIssued:
    """A record: the first of its family."""

    entity: ClassVar[str] = "refresh_token"
    refresh_token: RefreshToken


@dataclass(frozen=True, slots=True)
class RefreshTokenRotated:
    entity: ClassVar[str] = "refresh_token"
    refresh_token: RefreshToken
    successor: RefreshToken


@dataclass(frozen=True, slots=True)
class GrantTokensRevoked:
    """Every token of the grant, by its client (RFC 7009); what the user allowed stays allowed."""

    entity: ClassVar[str] = "grant"
    grant: Grant


AuthorizationEvent = AuthorizationRequested | AuthorizationDenied
CodeEvent = CodeIssued | CodeRedeemed
RefreshTokenEvent = RefreshTokenIssued | RefreshTokenRotated
Authorizing = AuthorizationEvent | CodeEvent | RefreshTokenEvent | GrantTokensRevoked


def touched(event: Authorizing) -> str:
    """The id of what the event touches."""
    match event:
        case AuthorizationRequested() | AuthorizationDenied():
            return event.request.id
        case CodeIssued() | GrantTokensRevoked():
            return event.grant.id
        case CodeRedeemed():
            return event.code.grant_id
        case RefreshTokenIssued() | RefreshTokenRotated():
            return event.refresh_token.id


def told(event: Authorizing) -> Mapping[str, JSON]:
    """What the audit log keeps of it."""
    match event:
        case AuthorizationRequested():
            return {"client_id": event.request.client_id}
        case AuthorizationDenied():
            return {"client_id": event.request.client_id, "user_id": event.user_id}
        case CodeIssued() | GrantTokensRevoked():
            return of_grant(event.grant)
        case CodeRedeemed():
            return {"client_id": event.code.client_id, "user_id": event.code.user_id}
        case RefreshTokenIssued() | RefreshTokenRotated():
            return {"client_id": event.refresh_token.client_id, "grant_id": event.refresh_token.grant_id}


def of_grant(grant: Grant) -> Mapping[str, JSON]:
    user: Mapping[str, JSON] = {} if grant.user_id is None else {"user_id": grant.user_id}
    return {"grant_id": grant.id, "client_id": grant.client_id, "scope": [*sorted(grant.scope)], **user}
