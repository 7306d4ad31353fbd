"""Every way to say no: one class per wire code, with the status and the reason that belong to it."""

from __future__ import annotations

import inspect

import pytest
from tests.protocol.given import refused

from doorward.protocol import refusal as r
from doorward.protocol.events import CredentialRefused
from doorward.protocol.reasons import REASONS
from doorward.protocol.refusal import Refusal
from doorward.protocol.setup import SetupOver

# class, status, code on the wire
WIRE: tuple[tuple[type[Refusal], int, str], ...] = (
    (r.InvalidRequest, 400, "invalid_request"),
    (r.InvalidClient, 401, "invalid_client"),
    (r.UnauthorizedClient, 400, "unauthorized_client"),
    (r.InvalidGrant, 400, "invalid_grant"),
    (r.UnsupportedResponseType, 400, "unsupported_response_type"),
    (r.AccessDenied, 400, "access_denied"),
    (r.LoginRequired, 400, "login_required"),
    (r.ConsentRequired, 400, "consent_required"),
    (r.UnmetAuthenticationRequirements, 400, "unmet_authentication_requirements"),
    (r.RequestNotSupported, 400, "request_not_supported"),
    (r.RequestUriNotSupported, 400, "request_uri_not_supported"),
    (r.UnsupportedGrantType, 400, "unsupported_grant_type"),
    (r.InvalidScope, 400, "invalid_scope"),
    (r.InvalidTarget, 400, "invalid_target"),
    (r.InvalidToken, 401, "invalid_token"),
    (r.InsufficientScope, 403, "insufficient_scope"),
    (r.RouteRefused, 403, "access_denied"),
    (r.SlowDown, 429, "slow_down"),
    (r.NotFound, 404, "not_found"),
    (r.NotAcceptable, 406, "not_acceptable"),
    (r.Conflict, 409, "conflict"),
    (r.Gone, 410, "gone"),
    (r.PreconditionFailed, 412, "precondition_failed"),
    (r.Unprocessable, 422, "invalid_fields"),
    (r.TooLarge, 413, "invalid_request"),
    (r.InTheClear, 403, "invalid_request"),
    (r.UnsupportedMediaType, 415, "invalid_request"),
    (r.MethodNotAllowed, 405, "invalid_request"),
    (r.TemporarilyUnavailable, 503, "temporarily_unavailable"),
    (r.InternalError, 500, "server_error"),
    (SetupOver, 410, "setup_over"),
)
each = pytest.mark.parametrize(("kind", "status", "error"), WIRE)


def test_every_way_to_say_no_is_here() -> None:
    kinds = {kind for kind in vars(r).values() if inspect.isclass(kind) and issubclass(kind, Refusal)}
    assert {kind for kind, _, _ in WIRE} == (kinds - {Refusal}) | {SetupOver}


@each
def test_a_refusal_has_the_status_and_the_code_of_its_kind(kind: type[Refusal], status: int, error: str) -> None:
    assert (kind.status, kind.error) == (status, error)


@each
def test_the_reason_of_a_refusal_belongs_to_its_status_and_code(kind: type[Refusal], status: int, error: str) -> None:
    reason = REASONS[kind("no").reason]
    assert reason.status == status
    assert reason.error in (error, None)


def test_a_refusal_may_have_a_reason_of_its_own() -> None:
    assert r.InvalidRequest("no").reason == "request_malformed"
    with refused("invalid_request", reason="secret_in_query"):
        raise r.InvalidRequest("no", reason="secret_in_query")


def test_a_refusal_carries_what_must_still_be_committed() -> None:
    record = CredentialRefused("api_key", "key_1", "credential_revoked")
    with refused("invalid_token", events=(record,)):
        raise r.InvalidToken("no", events=(record,))
    assert r.InvalidToken("no").events == ()


def test_the_private_detail_is_not_in_the_public_text() -> None:
    refusal = r.InvalidRequest("the public text", detail="the private detail")
    assert refusal.detail == "the private detail"
    assert str(refusal) == refusal.description == "the public text"
    assert "private" not in repr(refusal)
