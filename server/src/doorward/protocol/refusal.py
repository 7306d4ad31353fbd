"""Every way to say no: one class per wire code; the instance says why, and what must still be committed.

`description` is public, one lower-case sentence without advice or echo of input;
`detail` goes to the log only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from doorward.protocol.events import Event
from doorward.protocol.use import Used


@dataclass(frozen=True, slots=True)
class Destination:
    """Where a browser takes an authorization response: an address that the client registered (RFC 6749 §4.1.2)."""

    redirect_uri: str
    response_mode: str
    state: str | None


class Refusal(Exception):  # noqa: N818  a refusal is an answer, not a fault
    """The answer is no. `reason` names a row of the reasons' table, which holds the fix.

    `goes_to` is set once it is known that a client may hear of it through the browser; else it is shown here.
    """

    status: ClassVar[int] = 400
    error: ClassVar[str] = "invalid_request"
    default_reason: ClassVar[str] = "request_malformed"
    goes_to: Destination | None = None

    def __init__(
        self,
        description: str,
        *,
        reason: str | None = None,
        events: tuple[Event, ...] = (),
        detail: str = "",
        fields: tuple[tuple[str, str], ...] = (),
        uses: tuple[Used, ...] = (),
    ) -> None:
        super().__init__(description)
        self.description = description
        self.reason = reason or self.default_reason
        self.events = events
        self.detail = detail
        self.fields = fields
        self.uses = uses


class InvalidRequest(Refusal):
    """RFC 6749 §5.2: a parameter is missing, repeated or malformed."""


class InvalidClient(Refusal):
    """RFC 6749 §5.2: client authentication failed; the same answer for every cause (T045)."""

    status = 401
    error = "invalid_client"
    default_reason = "client_unauthenticated"


class UnauthorizedClient(Refusal):
    """RFC 6749 §5.2: the client may not use this grant type."""

    error = "unauthorized_client"
    default_reason = "grant_type_not_allowed"


class InvalidGrant(Refusal):
    """RFC 6749 §5.2: a code or refresh token is unknown, ended, or was issued to another client."""

    error = "invalid_grant"
    default_reason = "grant_invalid"


class UnsupportedResponseType(Refusal):
    """RFC 6749 §4.1.2.1: codes are all there is (T005)."""

    error = "unsupported_response_type"
    default_reason = "response_type_unknown"


class AccessDenied(Refusal):
    """RFC 6749 §4.1.2.1: the user said no."""

    error = "access_denied"
    default_reason = "user_denied"


class LoginRequired(Refusal):
    """OpenID Connect Core §3.1.2.6: `prompt=none`, and nobody is signed in."""

    error = "login_required"
    default_reason = "login_required"


class ConsentRequired(Refusal):
    """OpenID Connect Core §3.1.2.6: `prompt=none`, and the user has not allowed it yet."""

    error = "consent_required"
    default_reason = "consent_required"


class UnmetAuthenticationRequirements(Refusal):
    """OpenID Connect Core §5.5.1.1, by its own error code: the user did not sign in as strongly as asked."""

    error = "unmet_authentication_requirements"
    default_reason = "authentication_unmet"


class RequestNotSupported(Refusal):
    """OpenID Connect Core §3.1.2.6: no request objects."""

    error = "request_not_supported"
    default_reason = "request_object_unsupported"


class RequestUriNotSupported(Refusal):
    """OpenID Connect Core §3.1.2.6: nothing is fetched from an address that a request names (T019)."""

    error = "request_uri_not_supported"
    default_reason = "request_object_unsupported"


class UnsupportedGrantType(Refusal):
    """RFC 6749 §5.2."""

    error = "unsupported_grant_type"
    default_reason = "grant_type_unknown"


class InvalidScope(Refusal):
    """RFC 6749 §5.2."""

    error = "invalid_scope"
    default_reason = "scope_invalid"


class InvalidTarget(Refusal):
    """RFC 8707 §2: the resource is unknown or not open to this client."""

    error = "invalid_target"
    default_reason = "resource_unknown"


class InvalidToken(Refusal):
    """RFC 6750 §3.1: an admin key that is missing, unknown or ended."""

    status = 401
    error = "invalid_token"
    default_reason = "credential_unknown"


class InsufficientScope(Refusal):
    """RFC 6750 §3.1: an admin key without the scope that the route needs."""

    status = 403
    error = "insufficient_scope"
    default_reason = "insufficient_scope"


class RouteRefused(Refusal):
    """No route lets the request through the gateway; the same for every caller, whatever he shows."""

    status = 403
    error = "access_denied"
    default_reason = "route_unknown"


class SlowDown(Refusal):
    """RFC 6585 §4: a good key that was used more often than its limits allow; `fields` tell of them."""

    status = 429
    error = "slow_down"
    default_reason = "rate_limited"


class NotFound(Refusal):
    """No such entity, or none that the caller may see."""

    status = 404
    error = "not_found"
    default_reason = "entity_unknown"


class NotAcceptable(Refusal):
    """RFC 9110 §15.5.7: nothing that we have is what was asked for."""

    status = 406
    error = "not_acceptable"
    default_reason = "status_list_time"


class Conflict(Refusal):
    """The entity exists already, or its state does not allow the change."""

    status = 409
    error = "conflict"
    default_reason = "entity_conflict"


class Gone(Refusal):
    """RFC 9110 §15.5.11: what is behind a position is no longer known for certain; a snapshot is needed."""

    status = 410
    error = "gone"
    default_reason = "feed_gone"


class PreconditionFailed(Refusal):
    """RFC 9110 §13.1.1: `If-Match` names another version."""

    status = 412
    error = "precondition_failed"
    default_reason = "version_changed"


class Unprocessable(Refusal):
    """The JSON is well formed, but a field's value cannot be accepted."""

    status = 422
    error = "invalid_fields"
    default_reason = "field_invalid"


class TooLarge(Refusal):
    """RFC 9110 §15.5.14."""

    status = 413
    error = "invalid_request"
    default_reason = "body_too_large"


class InTheClear(Refusal):
    """RFC 9110 §15.5.4: a request over plain HTTP, whatever it was (draft-ietf-httpapi-privacy)."""

    status = 403
    default_reason = "plaintext"


class UnsupportedMediaType(Refusal):
    """RFC 9110 §15.5.16."""

    status = 415
    error = "invalid_request"
    default_reason = "media_type_wrong"


class MethodNotAllowed(Refusal):
    """RFC 9110 §15.5.6."""

    status = 405
    error = "invalid_request"
    default_reason = "method_wrong"


class TemporarilyUnavailable(Refusal):
    """The store cannot commit now; what was lost with its connection in the midst of it may have been committed."""

    status = 503
    error = "temporarily_unavailable"
    default_reason = "store_unavailable"


class InternalError(Refusal):
    """RFC 9110 §15.6.1: our own fault; the log knows more."""

    status = 500
    error = "server_error"
    default_reason = "internal_error"
