"""The checks of the authorization endpoint: what each refuses, in which order, and where its error goes."""

from __future__ import annotations

from typing import Any

import pytest
from tests.protocol.allowed import CALLBACK, CHALLENGE, a_public_app, an_app, an_authorization
from tests.protocol.given import IDENTIFIER, a_grant, an_account, an_api, another_api, refused, scope

from doorward.protocol import authorization
from doorward.protocol.authorization import Authorization, check, parameters, still_holds
from doorward.protocol.client import ClientFacts
from doorward.protocol.refusal import Destination, Refusal

ASKED = {
    "response_type": "code", "client_id": "client_1", "redirect_uri": CALLBACK, "state": "af0ifjsldkj",
    "code_challenge": CHALLENGE, "code_challenge_method": "S256",
}  # fmt: skip
TOLD = Destination(CALLBACK, "query", "af0ifjsldkj")
ELSEWHERE = "https://evil.example/callback"


def ask(client: ClientFacts | None = None, *more: tuple[str, str], without: str = "", **changed: str) -> Authorization:
    pairs = [(name, value) for name, value in {**ASKED, **changed}.items() if name != without]
    return check(parameters([*pairs, *more]), an_app() if client is None else client)


def refusal(*given: Any, **changed: Any) -> Refusal:
    with pytest.raises(Refusal) as caught:
        ask(*given, **changed)
    return caught.value


def test_what_passes_is_what_was_asked_for() -> None:
    assert ask(scope="read openid", nonce="n", prompt="login consent", max_age="60") == an_authorization(
        scope=scope("read openid"), nonce="n", prompt=scope("login consent"), max_age=60
    )


def test_what_is_kept_of_it_can_be_read_again() -> None:
    asked = ask(
        None, ("claims", '{"id_token": {"acr": null}}'), scope="read", nonce="n", prompt="login", max_age="0",
        response_mode="form_post", login_hint="ada", ui_locales="de en",
    )  # fmt: skip
    assert asked.claims == {"id_token": {"acr": None}}
    assert Authorization.of(asked.kept()) == asked


def test_no_error_before_the_address_is_known_goes_anywhere() -> None:
    """T001: whatever else is wrong, too; each of these orders was somebody's hole."""
    else_wrong: tuple[dict[str, str], ...] = (
        {}, {"prompt": "none"}, {"response_type": "token"}, {"scope": "unknown"}, {"scope": "read  write"},
        {"code_challenge": ""}, {"response_mode": "fragment"}, {"resource": "https://unknown.example"},
        {"request": "x"}, {"state": "s" * 5000},
    )  # fmt: skip
    bad_address: tuple[dict[str, str], ...] = (
        {"redirect_uri": ELSEWHERE}, {"redirect_uri": ""}, {"without": "redirect_uri"}, {"client_id": "unknown"},
    )  # fmt: skip
    for address in bad_address:
        for wrong in else_wrong:
            client = None if address.get("client_id") else an_app()
            changed = {**wrong, **address}
            pairs = [(n, v) for n, v in {**ASKED, **changed}.items() if n not in ("without", changed.get("without"))]
            with pytest.raises(Refusal) as caught:
                check(parameters(pairs), client)
            assert caught.value.goes_to is None
            assert caught.value.error == "invalid_request"


@pytest.mark.parametrize("name", ["client_id", "redirect_uri"])
@pytest.mark.parametrize("value", ["", "same", ELSEWHERE])
def test_an_address_that_is_named_twice_is_none(name: str, value: str) -> None:
    """T008: a second one that is empty is a second one."""
    found = refusal(None, (name, ASKED[name] if value == "same" else value))
    assert (found.error, found.goes_to) == ("invalid_request", None)


@pytest.mark.parametrize(
    "client", [an_app(state="disabled"), an_app(state="deleted"), an_app(account=an_account(state="suspended"))]
)
def test_a_client_that_is_disabled_is_as_unknown_as_one_that_never_was(client: ClientFacts) -> None:
    """T004."""
    found = refusal(client)
    with pytest.raises(Refusal) as caught:
        check(parameters(ASKED.items()), None)
    assert (found.reason, found.description, found.goes_to) == (caught.value.reason, caught.value.description, None)


# What is wrong, and the error that its client hears of.
WRONG: tuple[tuple[dict[str, Any], str, str], ...] = (
    ({"response_type": "token"}, "unsupported_response_type", "response_type_unknown"),
    ({"response_type": "id_token"}, "unsupported_response_type", "response_type_unknown"),
    ({"response_type": "code id_token"}, "unsupported_response_type", "response_type_unknown"),
    ({"response_type": "code code"}, "unsupported_response_type", "response_type_unknown"),
    ({"response_type": "none"}, "unsupported_response_type", "response_type_unknown"),
    ({"response_type": ""}, "invalid_request", "request_malformed"),
    ({"without": "response_type"}, "invalid_request", "request_malformed"),
    ({"code_challenge": ""}, "invalid_request", "pkce_missing"),
    ({"without": "code_challenge"}, "invalid_request", "pkce_missing"),
    ({"code_challenge": CHALLENGE[:-1]}, "invalid_request", "pkce_missing"),
    ({"code_challenge": CHALLENGE + "="}, "invalid_request", "pkce_missing"),
    ({"code_challenge_method": "plain"}, "invalid_request", "pkce_missing"),
    ({"code_challenge_method": "s256"}, "invalid_request", "pkce_missing"),
    ({"without": "code_challenge_method"}, "invalid_request", "pkce_missing"),
    ({"response_mode": "fragment"}, "invalid_request", "request_malformed"),
    ({"response_mode": "web_message"}, "invalid_request", "request_malformed"),
    ({"request": "e30."}, "request_not_supported", "request_object_unsupported"),
    ({"request_uri": "https://client.example/r"}, "request_uri_not_supported", "request_object_unsupported"),
    ({"resource": "https://unknown.example"}, "invalid_target", "resource_unknown"),
    ({"resource": IDENTIFIER + "/"}, "invalid_target", "resource_unknown"),
    ({"scope": "unknown"}, "invalid_scope", "scope_invalid"),
    ({"scope": "read unknown"}, "invalid_scope", "scope_invalid"),
    ({"scope": "read  write"}, "invalid_scope", "scope_invalid"),
    ({"scope": "read\u00a0write"}, "invalid_scope", "scope_invalid"),
    ({"scope": "read\twrite"}, "invalid_scope", "scope_invalid"),
    ({"scope": "read\nwrite"}, "invalid_scope", "scope_invalid"),
    ({"scope": "a" * 4097}, "invalid_request", "request_malformed"),
    ({"scope": "a " * 4000}, "invalid_request", "request_malformed"),
    ({"prompt": "none login"}, "invalid_request", "request_malformed"),
    ({"prompt": "none none consent"}, "invalid_request", "request_malformed"),
    ({"prompt": "sometimes"}, "invalid_request", "request_malformed"),
    ({"max_age": "-1"}, "invalid_request", "request_malformed"),
    ({"max_age": "soon"}, "invalid_request", "request_malformed"),
    ({"max_age": "1.5"}, "invalid_request", "request_malformed"),
    ({"max_age": "\u0661"}, "invalid_request", "request_malformed"),
    ({"max_age": "9" * 30}, "invalid_request", "request_malformed"),
    ({"claims": "x"}, "invalid_request", "request_malformed"),
    ({"claims": "[]"}, "invalid_request", "request_malformed"),
    ({"claims": '{"a": 1, "a": 2}'}, "invalid_request", "request_malformed"),
    ({"claims": '{"a": "\\u0000"}'}, "invalid_request", "request_malformed"),
    ({"nonce": "n" * 2049}, "invalid_request", "request_malformed"),
)


@pytest.mark.parametrize(("changed", "error", "reason"), WRONG)
def test_its_client_hears_what_is_wrong(changed: dict[str, Any], error: str, reason: str) -> None:
    found = refusal(None, **changed)
    assert (found.error, found.reason, found.goes_to) == (error, reason, TOLD)


def test_the_error_goes_the_way_that_was_asked_for() -> None:
    found = refusal(None, response_mode="form_post", response_type="token")
    assert found.goes_to == Destination(CALLBACK, "form_post", "af0ifjsldkj")


@pytest.mark.parametrize("name", ["state", "scope", "nonce", "response_type", "prompt", "colour", "code_challenge"])
def test_every_other_parameter_comes_once_too(name: str) -> None:
    """T008; of two states none is the client's."""
    values = {**ASKED, "scope": "read", "nonce": "n", "prompt": "login", "colour": "blue"}
    with pytest.raises(Refusal) as caught:
        check(parameters([*values.items(), (name, values[name])]), an_app())
    state = None if name == "state" else "af0ifjsldkj"
    assert (caught.value.error, caught.value.goes_to) == ("invalid_request", Destination(CALLBACK, "query", state))


def test_a_name_in_query_and_body_is_a_name_that_comes_twice() -> None:
    assert parameters([("state", "a"), ("state", "a")]).repeated == {"state"}


def test_resource_may_come_twice_and_is_then_one_too_many() -> None:
    found = refusal(None, ("resource", IDENTIFIER), ("resource", "https://other.example.com"))
    assert (found.error, found.goes_to) == ("invalid_target", TOLD)


def test_unknown_parameters_are_ignored_and_empty_ones_are_absent() -> None:
    """T009."""
    assert ask(None, ("colour", "blue"), ("audience", "x"), ("audience", "y")) == an_authorization(
        scope=scope("read write")
    )
    assert ask(scope="", prompt="", resource="", max_age="", nonce="", request="").scope == scope("read write")


@pytest.mark.parametrize("state", ["a b", "%0d%0aSet-Cookie: x=y", "\"'<>&+;", "räksmörgås \U0001f980", "x" * 2048])
def test_the_state_is_the_clients_own_word(state: str) -> None:
    """T010."""
    assert ask(state=state).state == state


def test_a_state_that_is_too_long_is_refused_and_never_cut() -> None:
    for state in ("x" * 2049, "\U0001f980" * 600):
        found = refusal(None, state=state)
        assert (found.error, found.goes_to) == ("invalid_request", Destination(CALLBACK, "query", None))


def test_a_client_that_does_not_ask_users_is_told_so() -> None:
    found = refusal(an_app(grant_types=("client_credentials",)))
    assert (found.error, found.goes_to) == ("unauthorized_client", TOLD)


class TestTarget:
    """RFC 8707 §2.1, decision 11."""

    def test_the_only_api_of_a_client_is_its_default(self) -> None:
        assert ask(scope="read").api_id == "api_1"
        assert ask(scope="openid").api_id == "api_1"

    def test_of_several_apis_one_must_be_named(self) -> None:
        client = an_app(a_grant(), a_grant(another_api(), "read"))
        assert ask(client, resource="https://other.example.com").api_id == "api_2"
        for changed in ({"scope": "read"}, {}, {"scope": "openid read"}):
            assert refusal(client, **changed).error == "invalid_target"

    def test_who_asks_only_who_the_user_is_needs_none(self) -> None:
        client = an_app(a_grant(), a_grant(another_api()))
        assert ask(client, scope="openid profile").api_id is None
        assert ask(without_api(), scope="openid").api_id is None

    def test_the_scope_of_one_api_is_not_that_of_another(self) -> None:
        client = an_app(a_grant(), a_grant(another_api(), "read"))
        assert refusal(client, resource="https://other.example.com", scope="write").error == "invalid_scope"

    def test_without_an_api_there_is_nothing_to_be_had_but_who_the_user_is(self) -> None:
        assert refusal(without_api(), scope="read").error == "invalid_scope"
        assert refusal(without_api()).error == "invalid_scope"


def without_api(**fields: Any) -> ClientFacts:
    made = an_app(**fields)
    return ClientFacts(made.client, made.account, made.secrets, ())


class TestScope:
    def test_all_that_the_client_may_have_when_nothing_is_named(self) -> None:
        assert ask(an_app(a_grant(allowed="read"))).scope == scope("read")

    def test_more_than_the_client_may_have_is_refused(self) -> None:
        assert refusal(an_app(a_grant(allowed="read")), scope="write").error == "invalid_scope"

    def test_what_the_api_does_not_define_any_more_is_gone(self) -> None:
        client = an_app(a_grant(an_api(scopes={"read": "Read"})))
        assert ask(client).scope == scope("read")
        assert refusal(client, scope="write").error == "invalid_scope"

    def test_every_client_may_ask_who_the_user_is(self) -> None:
        asked = ask(an_app(a_grant(allowed="read")), scope="openid profile email address phone offline_access read")
        assert asked.scope == scope("openid profile email address phone offline_access read")

    def test_offline_access_means_nothing_without_refresh_tokens(self) -> None:
        client = an_app(grant_types=("authorization_code",))
        assert ask(client, scope="openid offline_access").scope == scope("openid")


class TestLater:
    """What passed the checks may not pass them any more when the user has answered."""

    def test_nothing_changed(self) -> None:
        assert still_holds(an_authorization(), an_app())
        assert still_holds(an_authorization(scope=scope("openid"), api_id=None), without_api())

    @pytest.mark.parametrize(
        "client",
        [
            None, an_app(state="disabled"), an_app(account=an_account(state="suspended")), without_api(),
            an_app(redirect_uris=(ELSEWHERE,)), an_app(a_grant(allowed="write")), an_app(a_grant(another_api())),
        ],
    )  # fmt: skip
    def test_the_client_may_less(self, client: ClientFacts | None) -> None:
        assert not still_holds(an_authorization(), client)


def test_a_public_client_is_asked_for_the_same() -> None:
    assert ask(a_public_app()) == ask(an_app())
    for changed in ({"code_challenge": ""}, {"code_challenge_method": "plain"}):
        with refused("invalid_request", reason="pkce_missing"):
            ask(a_public_app(), **changed)


def test_no_check_stands_before_those_of_the_address() -> None:
    """The order is the rule."""
    places = [place for _, place in authorization.CHECKS]
    assert places == sorted(places, key=lambda place: place == authorization.CLIENT)
    assert places.count(authorization.PAGE) == 3


class TestClaims:
    """OpenID Connect Core §5.5."""

    @pytest.mark.parametrize("text", ["x", "[]", '{"id_token": []}', '{"id_token": {"email": true}}'])
    def test_what_is_no_request_for_claims_is_refused(self, text: str) -> None:
        found = refusal(claims=text)
        assert (found.error, found.goes_to) == ("invalid_request", TOLD)

    def test_the_users_that_it_names_are_those_of_whom_the_client_hears(self) -> None:
        assert ask(claims='{"id_token": {"sub": {"values": ["user_2", "user_1"]}}}').subjects == {"user_1", "user_2"}
        assert ask(claims='{"userinfo": {"sub": {"value": "user_1"}}}').subjects == frozenset()

    def test_a_sign_in_that_is_stronger_than_ours_is_never_met(self) -> None:
        """§5.5.1.1: a failed authentication, told before anybody signs in in vain."""
        found = refusal(claims='{"id_token": {"acr": {"essential": true, "values": ["urn:mace:incommon:iap:silver"]}}}')
        assert (found.error, found.goes_to) == ("unmet_authentication_requirements", TOLD)
        assert ask(claims='{"id_token": {"acr": {"essential": true, "values": ["9", "1"]}}}').claims
        assert ask(claims='{"id_token": {"acr": {"values": ["9"]}}}', acr_values="9").claims


def test_what_was_kept_by_an_older_version_can_be_read_too() -> None:
    kept = ask(scope="read").kept()
    del kept["subjects"]
    assert Authorization.of(kept) == ask(scope="read")
