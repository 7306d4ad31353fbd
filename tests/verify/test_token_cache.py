"""A client's own token: how long it serves, what the server may answer, and when another one is called for."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorward_verify import Unavailable
from doorward_verify.token_cache import DEFAULT_LIFETIME, Token, TokenRefused, read, token_endpoint

ISSUER = "https://auth.example.com"
TOKEN = Token("secret-token", asked_at=1000, lifetime=300)


def answered(status: int = 200, **members: Any) -> Token | TokenRefused:
    return read(status, json.dumps(members).encode(), 1000)


def granted(**changes: Any) -> Token | TokenRefused:
    members = {"access_token": "secret-token", "token_type": "Bearer", "expires_in": 300, **changes}
    return answered(**{name: value for name, value in members.items() if value is not ...})


class TestStanding:
    @pytest.mark.parametrize(
        ("now", "standing"),
        [(1000, "good"), (1239.9, "good"), (1240, "due"), (1299.9, "due"), (1300, "ended"), (9999, "ended")],
    )
    def test_a_token_is_good_then_due_after_four_fifths_of_its_life_then_ended(self, now: float, standing: str) -> None:
        assert TOKEN.standing(now) == standing

    def test_its_text_is_in_no_repr(self) -> None:
        assert "secret-token" not in repr(TOKEN)


class TestAnswers:
    def test_a_token_lives_from_when_it_was_asked_for(self) -> None:
        assert granted() == TOKEN

    @pytest.mark.parametrize("kind", ["bearer", "BEARER"])
    def test_its_type_is_told_in_any_case(self, kind: str) -> None:
        assert granted(token_type=kind) == TOKEN

    def test_a_server_may_keep_silent_about_its_lifetime(self) -> None:
        assert granted(expires_in=...) == Token("secret-token", 1000, DEFAULT_LIFETIME)

    @pytest.mark.parametrize(
        "changes",
        [
            {"access_token": ...}, {"access_token": ""}, {"access_token": 7}, {"access_token": "a b"},
            {"access_token": "a\r\nx-admin: 1"}, {"access_token": "a\n"}, {"access_token": "tökén"},
            {"token_type": ...}, {"token_type": "DPoP"}, {"token_type": None},
            {"expires_in": 0}, {"expires_in": -1}, {"expires_in": "300"}, {"expires_in": True}, {"expires_in": None},
        ],
        ids=str,
    )  # fmt: skip
    def test_what_cannot_be_used_is_no_token(self, changes: dict[str, Any]) -> None:
        with pytest.raises(Unavailable):
            granted(**changes)

    @pytest.mark.parametrize("status", [400, 401, 403])
    def test_a_refusal_keeps_what_the_server_said(self, status: int) -> None:
        refused = answered(
            status, error="invalid_scope", error_description="scope is not granted", reason="scope_invalid",
            request_id="req_1", docs="...",
        )  # fmt: skip
        assert isinstance(refused, TokenRefused)
        assert (refused.error, refused.description) == ("invalid_scope", "scope is not granted")
        assert (refused.reason, refused.request_id) == ("scope_invalid", "req_1")
        assert str(refused) == (
            "invalid_scope: scope is not granted (reason scope_invalid, request_id req_1). Ask for scopes that "
            "`doorward clients show CLIENT_ID` lists for the api. `doorward explain req_1` tells more."
        )

    def test_a_refusal_of_another_issuer_says_what_there_is(self) -> None:
        assert str(answered(400, error="odd_error")) == "odd_error."
        assert str(answered(401, error="invalid_client", error_description=7)).startswith("invalid_client. Check DOOR")

    def test_what_goes_into_logs_is_one_short_line(self) -> None:
        said = str(answered(400, error="x\nroot: all is well", error_description="ü" * 5000))
        assert "\n" not in said
        assert len(said) < 500

    @pytest.mark.parametrize("status", [204, 301, 307, 404, 405, 429, 500, 503])
    def test_any_other_status_is_neither_a_token_nor_a_refusal(self, status: int) -> None:
        with pytest.raises(Unavailable, match=str(status)):
            answered(status, access_token="a", token_type="Bearer", expires_in=300, error="invalid_client")

    @pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"error": 1}', b'{"error": "a", "error": "b"}', b"\xff"])
    def test_a_body_that_says_nothing_is_no_refusal(self, body: bytes) -> None:
        with pytest.raises(Unavailable):
            read(400, body, 1000)


class TestMetadata:
    def endpoint(self, expected: str = ISSUER, **changes: Any) -> str:
        members = {"issuer": expected, "token_endpoint": f"{expected}/token", **changes}
        return token_endpoint(200, json.dumps(members).encode(), expected)

    def test_it_names_the_endpoint(self) -> None:
        assert self.endpoint() == "https://auth.example.com/token"
        assert self.endpoint(token_endpoint="https://tokens.example.net/t") == "https://tokens.example.net/t"
        assert self.endpoint("http://localhost:1") == "http://localhost:1/token"

    @pytest.mark.parametrize(
        "changes",
        [
            {"issuer": "https://auth.example.com/"}, {"issuer": None}, {"token_endpoint": None}, {"token_endpoint": 1},
            {"token_endpoint": "http://localhost/token"}, {"token_endpoint": "http://auth.example.com/token"},
        ],
        ids=str,
    )  # fmt: skip
    def test_no_other_issuer_and_no_endpoint_without_tls_is_believed(self, changes: dict[str, Any]) -> None:
        with pytest.raises(Unavailable):
            self.endpoint(**changes)

    def test_another_status_is_no_metadata(self) -> None:
        with pytest.raises(Unavailable, match="500"):
            token_endpoint(500, b"{}", ISSUER)


class TestARefusedToken:
    def refused(self, challenges: str, *, status: int = 401, carried: str = "Bearer secret-token") -> bool:
        return TOKEN.is_refused(carried, status, challenges)

    @pytest.mark.parametrize(
        "challenges",
        [
            'Bearer error="invalid_token"',
            "Bearer error=invalid_token",
            'bearer realm="a, b", ERROR = "invalid_token", error_description="the token was revoked"',
            'ApiKey realm="https://a", header="X-API-Key", Bearer realm="https://a",error="invalid_token"',
        ],
    )
    def test_invalid_token_calls_for_another(self, challenges: str) -> None:
        assert self.refused(challenges)

    @pytest.mark.parametrize(
        "challenges",
        [
            "",
            "Bearer",
            'Bearer realm="https://a"',
            'Bearer error="insufficient_user_authentication", acr_values="mfa"',
            'Bearer error="invalid_token_type"',
            'Bearer last_error="invalid_token"',
            'Bearer error_description="error=invalid_token"',
            'Bearer error_description="say \\"error=invalid_token\\" now"',
            'Basic realm="invalid_token"',
        ],
    )
    def test_nothing_else_does(self, challenges: str) -> None:
        assert not self.refused(challenges)

    def test_another_status_does_not(self) -> None:
        assert not self.refused('Bearer error="invalid_token"', status=403)

    def test_another_token_does_not(self) -> None:
        for carried in ("", "Bearer other", "secret-token"):
            assert not self.refused('Bearer error="invalid_token"', carried=carried)

    @pytest.mark.parametrize("piece", ["a", '"', "a=", 'a="', "\\", '\\"', " ", "a ", '="', "a= "])
    def test_no_header_takes_long_to_read(self, piece: str) -> None:
        """Quadratic time would hold the test for minutes."""
        assert not self.refused(piece * 200_000)

    @given(st.text())
    def test_any_header_can_be_read(self, challenges: str) -> None:
        self.refused(challenges)
