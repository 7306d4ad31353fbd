"""What every shell owes its callers, whatever the framework: the same requests, the same answers."""

from __future__ import annotations

import re
from typing import Any

import pytest
from tests.verify.asgi_calls import Answered, Headers, knock, knock_for_an_answer
from tests.verify.asking import KEY, active
from tests.verify.issuer_server import INTROSPECTION, Issuer, Reply, inactive
from tests.verify.issuing import AUDIENCE, NOW, token

from doorward_verify import challenge
from doorward_verify.protected_resource import resource_metadata

METADATA = resource_metadata(AUDIENCE, ["https://auth.example.com"], scopes_supported=["invoices:read"])
METADATA_PATH = "/.well-known/oauth-protected-resource"
POINTER = f'resource_metadata="{AUDIENCE}{METADATA_PATH}"'
STEP_UP: Any = {"acr_values": "mfa phr", "max_age": 300}
ACCOUNT = {"account": "acme"}
NOBODY = {"account": None}


def bearer(text: str) -> Headers:
    return [(b"authorization", b"Bearer " + text.encode())]


def challenges(answered: Answered) -> list[str]:
    """Header by header, or out of one that holds them all."""
    return [part for value in answered.all("www-authenticate") for part in re.split(r", (?=ApiKey )", value)]


class Shell:
    """The application of a shell has these routes, each telling the caller's account:

    GET /invoices (invoices:read)    POST /invoices (both scopes)    GET /me (any credential)
    GET /perhaps (optional)          GET /transfers (invoices:read and STEP_UP)
    """

    has_request_id = True
    knows_the_scope_first = True

    def call(self, app: Any, headers: Headers, path: str = "/invoices", method: str = "GET") -> Answered:
        raise NotImplementedError

    def test_a_key_in_either_header_is_let_in(self, app: Any) -> None:
        for headers in (bearer(KEY), [(b"x-api-key", KEY.encode())], bearer(f"secret-token:{KEY}")):
            answered = self.call(app, headers)
            assert (answered.status, answered.body) == (200, ACCOUNT)

    def test_a_token_is_let_in(self, app: Any, good_jwt: str) -> None:
        answered = self.call(app, bearer(good_jwt))
        assert (answered.status, answered.body) == (200, ACCOUNT)

    def test_any_good_credential_opens_a_route_without_scopes(self, app: Any, issuer: Issuer) -> None:
        issuer.replies[INTROSPECTION] = active(scope=...)
        assert self.call(app, bearer(KEY), "/me").body == ACCOUNT
        assert self.call(app, [], "/me").status == 401

    @pytest.mark.parametrize("headers", [[], [(b"authorization", b"Basic YTpi")]])
    def test_without_a_credential_the_challenge_has_scope_and_metadata_but_no_error(
        self, app: Any, headers: Headers
    ) -> None:
        answered = self.call(app, headers)
        assert answered.status == 401
        assert challenges(answered) == [
            f'Bearer realm="{AUDIENCE}", scope="invoices:read", {POINTER}',
            f'ApiKey realm="{AUDIENCE}", header="X-API-Key"',
        ]
        assert answered.body["reason"] == "credential_missing"

    def test_an_unknown_key_is_challenged_and_explains_itself(self, app: Any, issuer: Issuer) -> None:
        issuer.replies[INTROSPECTION] = inactive
        answered = self.call(app, bearer(KEY))
        assert answered.status == 401
        assert challenges(answered)[0].startswith(f'Bearer realm="{AUDIENCE}", error="invalid_token"')
        needed = 'scope="invoices:read", ' if self.knows_the_scope_first else ""
        assert challenges(answered)[0].endswith(f", {needed}{POINTER}")
        assert answered.body == {
            "error": "invalid_token",
            "error_description": challenge.UNIFORM,
            "reason": "credential_unknown",
            "request_id": answered.body["request_id"],
            "docs": f"{issuer.url}/v1/docs#reason-credential_unknown",
        }
        if self.has_request_id:
            assert answered.all("x-request-id") == [answered.body["request_id"]]
            assert answered.all("cache-control") == ["no-store"]

    def test_a_missing_scope_is_403_and_every_scope_is_named_once(self, app: Any) -> None:
        answered = self.call(app, bearer(KEY), method="POST")
        assert answered.status == 403
        (challenged,) = challenges(answered)
        assert 'error="insufficient_scope"' in challenged
        assert challenged.endswith(f'scope="invoices:read invoices:write", {POINTER}')
        assert challenged.count("scope=") == 1
        assert answered.body["reason"] == "insufficient_scope"

    def test_all_scopes_together_open_the_route(self, app: Any, issuer: Issuer) -> None:
        issuer.replies[INTROSPECTION] = active(scope="invoices:read invoices:write")
        assert self.call(app, bearer(KEY), method="POST").body == ACCOUNT

    def test_two_credentials_are_400(self, app: Any, good_jwt: str) -> None:
        for second in (bearer(good_jwt), [(b"x-api-key", KEY.encode())]):
            answered = self.call(app, [*bearer(KEY), *second])
            assert (answered.status, answered.body["reason"]) == (400, "several_credentials")
            assert answered.all("www-authenticate") == []
        assert self.call(app, 2 * [(b"x-api-key", KEY.encode())]).status == 400

    def test_what_is_not_the_callers_fault_is_503(self, app: Any, issuer: Issuer) -> None:
        issuer.replies[INTROSPECTION] = Reply({"error": "invalid_client"}, 401)
        answered = self.call(app, bearer(KEY))
        assert (answered.status, answered.body["reason"]) == (503, "verifier_refused")
        assert answered.all("retry-after") == ["1"]
        assert answered.all("www-authenticate") == []

    def test_a_strong_and_recent_sign_in_is_let_in(self, app: Any, issuer: Issuer) -> None:
        strong = token(iss=issuer.url, acr="phr", auth_time=NOW - 300)
        assert self.call(app, bearer(strong), "/transfers").body == ACCOUNT

    @pytest.mark.parametrize("claims", [{"acr": "phr", "auth_time": NOW - 301}, {"acr": "pwd", "auth_time": NOW}, {}])
    def test_a_weak_or_old_sign_in_is_asked_for_a_better_one(
        self, app: Any, issuer: Issuer, claims: dict[str, Any]
    ) -> None:
        answered = self.call(app, bearer(token(iss=issuer.url, **claims)), "/transfers")
        assert answered.status == 401
        (challenged,) = challenges(answered)
        assert challenged == (
            f'Bearer realm="{AUDIENCE}", error="insufficient_user_authentication", '
            f'error_description="{answered.body["error_description"]}", '
            f'acr_values="mfa phr", max_age="300", scope="invoices:read", {POINTER}'
        )
        assert answered.body["reason"] == "insufficient_user_authentication"

    def test_nobody_signed_in_for_an_api_key(self, app: Any) -> None:
        answered = self.call(app, bearer(KEY), "/transfers")
        assert (answered.status, answered.body["error"]) == (401, "insufficient_user_authentication")

    def test_where_a_credential_is_optional_a_bad_one_is_still_refused(self, app: Any, issuer: Issuer) -> None:
        assert self.call(app, [], "/perhaps").body == NOBODY
        assert self.call(app, bearer(KEY), "/perhaps").body == ACCOUNT
        assert self.call(app, bearer(KEY[:-1]), "/perhaps").status == 401

    def test_the_metadata_are_open_to_everybody(self, app: Any) -> None:
        for headers in ([], [(b"origin", b"https://elsewhere.example")]):
            answered = self.call(app, headers, METADATA_PATH)
            assert (answered.status, answered.body) == (200, METADATA)
            assert answered.all("content-type") == ["application/json"]
            assert answered.all("access-control-allow-origin") == ["*"]


class WebSockets:
    """/feed (invoices:read) accepts, sends the caller's account as text, and closes."""

    def test_a_good_credential_is_accepted(self, app: Any) -> None:
        accepted, told = knock(app, bearer(KEY))[:2]
        assert accepted["type"] == "websocket.accept"
        assert (told["type"], told["text"]) == ("websocket.send", "acme")

    def test_a_bad_one_is_closed_before_it_is_accepted(self, app: Any) -> None:
        for headers, reason in (([], "credential_missing"), (bearer(KEY[:-1]), "credential_unknown")):
            assert knock(app, headers) == [{"type": "websocket.close", "code": 1008, "reason": reason}]

    def test_an_outage_asks_to_try_again_later(self, app: Any, issuer: Issuer) -> None:
        issuer.replies[INTROSPECTION] = Reply({"error": "invalid_client"}, 401)
        assert knock(app, bearer(KEY)) == [{"type": "websocket.close", "code": 1013, "reason": "verifier_refused"}]

    def test_where_the_server_can_the_refusal_is_an_answer_with_its_challenge(self, app: Any, issuer: Issuer) -> None:
        answered = knock_for_an_answer(app, [])
        assert answered.status == 401
        assert challenges(answered)[0] == f'Bearer realm="{AUDIENCE}", scope="invoices:read", {POINTER}'
        issuer.replies[INTROSPECTION] = active(scope=...)
        answered = knock_for_an_answer(app, bearer(KEY))
        assert (answered.status, answered.body["reason"]) == (403, "insufficient_scope")
