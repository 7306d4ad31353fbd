"""What a check may say instead of yes, one class per wire code (RFC 6750 §3.1).

`reason` names a row of `reasons`; `description` is one lower-case sentence that never echoes input.
"""

# ruff: noqa: N818  the names are the wire codes

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar

from doorward_verify.scope import Scope


class DoorwardError(Exception):
    """The base of every refusal."""

    status: ClassVar[int] = 400
    error: ClassVar[str | None] = "invalid_request"
    default_reason: ClassVar[str] = "several_credentials"

    def __init__(self, description: str, *, reason: str | None = None) -> None:
        super().__init__(description)
        self.description = description
        self.reason = reason or self.default_reason


class CredentialMissing(DoorwardError):
    """RFC 6750 §3.1: a request without a credential is answered without an error code."""

    status = 401
    error = None
    default_reason = "credential_missing"


class InvalidRequest(DoorwardError):
    """RFC 6750 §3.1: more than one way or time to send a credential."""


class InTheClear(DoorwardError):
    """RFC 9110 §15.5.4: a request over plain HTTP, whatever it was."""

    status = 403
    default_reason = "plaintext"


class InvalidToken(DoorwardError):
    """RFC 6750 §3.1: malformed, unknown, expired, revoked or meant for somebody else."""

    status = 401
    error = "invalid_token"
    default_reason = "credential_unknown"


class KeyUnknown(InvalidToken):
    """No published key has the token's `kid`: it may be newer than what we read."""

    default_reason = "signing_key_unknown"

    def __init__(self, kid: str) -> None:
        super().__init__("the signing key is unknown")
        self.kid = kid


class InsufficientScope(DoorwardError):
    """RFC 6750 §3.1: `scope` is what the resource needs."""

    status = 403
    error = "insufficient_scope"
    default_reason = "insufficient_scope"

    def __init__(self, scope: Scope) -> None:
        super().__init__("the credential lacks a scope that is needed here")
        self.scope = scope


class InsufficientUserAuthentication(DoorwardError):
    """RFC 9470 §3: the user signed in too weakly or too long ago for this resource."""

    status = 401
    error = "insufficient_user_authentication"
    default_reason = "insufficient_user_authentication"

    def __init__(self, acr_values: tuple[str, ...], max_age: int | None) -> None:
        super().__init__("the user has to sign in again, more strongly or more recently")
        self.acr_values = acr_values
        self.max_age = max_age


class RateLimited(DoorwardError):
    """RFC 6585 §4: the key is good, and was used too often; `limits` tells of each of its limits what is left.

    `retry_after` is in seconds, and `cost` what it was too much for: who asks for less may be lucky.
    """

    status = 429
    error = "slow_down"
    default_reason = "rate_limited"

    def __init__(self, reason: str, limits: tuple[Mapping[str, Any], ...], retry_after: int, cost: int) -> None:
        super().__init__("the key was used more often than its limits allow", reason=reason)
        self.limits, self.retry_after, self.cost = limits, retry_after, cost

    def until(self, seconds: float) -> RateLimited:
        """The same refusal, given again while `seconds` of it are left."""
        return RateLimited(self.reason, self.limits, max(math.ceil(seconds), 1), self.cost)


class CostImpossible(DoorwardError):
    """RFC 9110 §15.5.21: the key is good, and a limit of it never has as much as `cost`: waiting does not help."""

    status = 422
    default_reason = "cost_impossible"

    def __init__(self, cost: int) -> None:
        super().__init__("the request costs more than a limit of the key ever has")
        self.cost = cost

    def until(self, _: float) -> CostImpossible:
        return CostImpossible(self.cost)


class Unavailable(DoorwardError):
    """Neither yes nor no can be said: the caller's credential is not at fault (T074).

    `retry_after` is in how many seconds that may have passed, None where nothing tells that it will.
    """

    status = 503
    error = "temporarily_unavailable"
    default_reason = "server_unreachable"

    def __init__(self, description: str, *, reason: str | None = None, retry_after: int | None = None) -> None:
        super().__init__(description, reason=reason)
        self.retry_after = retry_after


class Misconfigured(ValueError):
    """The verifier was set up in a way that cannot work or is not safe; raised before any request."""
