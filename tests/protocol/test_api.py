"""An api: a protected resource with its identifier (RFC 8707 §2), scopes, token format and claims of its own."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from tests.protocol.given import EARLIER, IDENTIFIER, NOW, POLICY, a_moment, an_api, another_api, asked, refused

from doorward.protocol import api
from doorward.protocol.api import KEY_RULES, ApiObject, CreateApi, CreateFacts, Facts, UpdateApi
from doorward.protocol.consent import OIDC
from doorward.protocol.decision import Decision
from doorward.protocol.entities import Api
from doorward.protocol.events import ApiCreated, ApiDeleted, ApiUpdated
from doorward.protocol.policy import DAY

NEW = CreateFacts(None, None)


def create(facts: CreateFacts = NEW, **fields: Any) -> Decision[ApiObject]:
    body = CreateApi(**{"identifier": IDENTIFIER, "name": "invoices", **fields})
    return api.create(asked(body), facts, POLICY, a_moment())


def update(existing: Api | None = None, same_name: Api | None = None, **fields: Any) -> Decision[ApiObject]:
    return api.update(asked(UpdateApi(**fields)), Facts(existing or an_api(), same_name), POLICY, a_moment())


def is_refused(field: str, **fields: Any) -> None:
    """Neither a new api nor a changed one may have such a field."""
    for attempt in (create, update) if field != "identifier" else (create,):
        with refused("invalid_fields", reason="field_invalid") as caught:
            attempt(**fields)
        assert [name for name, _ in caught.value.fields] == [field]


def test_a_new_api_signs_jwts_with_es256_for_300_seconds() -> None:
    decision = create()
    (event,) = decision.events
    assert isinstance(event, ApiCreated)
    assert event.api.id.startswith("api_")
    assert decision.reply == api.show(event.api)
    assert decision.reply == ApiObject(
        event.api.id, IDENTIFIER, "invoices", {}, "jwt", 300, "ES256", {}, False, [], NOW, NOW, 1, False, [],
        ["bearer", "header"], "flag", None, None,
    )  # fmt: skip


def test_an_api_is_made_as_it_was_asked_for() -> None:
    asked_for: dict[str, Any] = {
        "scopes": {"read": "Read your invoices"},
        "token_format": "opaque",
        "token_lifetime": 60,
        "signing_algorithm": "RS256",
        "claims": {"plan": "account.metadata.plan"},
    }
    reply = create(**asked_for).reply
    assert {name: getattr(reply, name) for name in asked_for} == asked_for


def test_only_jwts_have_status_lists() -> None:
    assert create(status_list=True).reply.status_list is True
    assert update(status_list=True).reply.status_list is True
    for attempt in (create, update):
        with refused("invalid_fields", fields={"status_list": "must be false unless tokens are JWTs"}):
            attempt(status_list=True, token_format="opaque")
    with refused("invalid_fields"):
        update(an_api(status_list=True), token_format="opaque")
    assert update(an_api(status_list=True), token_format="opaque", status_list=False).reply.token_format == "opaque"


def test_identifier_and_name_are_taken_once() -> None:
    for facts in (CreateFacts(an_api(), None), CreateFacts(None, an_api()), CreateFacts(an_api(), an_api())):
        with refused("conflict", reason="entity_conflict"):
            create(facts)


# The identifier


@pytest.mark.parametrize(
    "identifier",
    [
        "https://api.example.com",
        "https://api.example.com/",
        "https://api.example.com:8443/v1/%7Eme;x=1",
        "https://[2001:db8::1]/",
        "http://localhost:8000",
        "http://127.0.0.1/",
        "http://[::1]:9",
        "https://" + "a" * 492,
    ],
)
def test_an_identifier_is_an_absolute_uri(identifier: str) -> None:
    assert create(identifier=identifier).reply.identifier == identifier


@pytest.mark.parametrize(
    "identifier",
    [
        "",
        "api",
        "/invoices",
        "//api.example.com",
        "urn:example:api",
        "https:",
        "https://",
        "https:///path",
        "https://:443/",
        "http://api.example.com",
        "http://localhost.example.com",
        "http://127.0.0.2",
        "ftp://api.example.com",
        "https://api.example.com#",
        "https://api.example.com/#part",
        "https://api.example.com?",
        "https://api.example.com/?a=b",
        "https://user@api.example.com",
        "https://api.example.com/a b",
        "https://api.example.com/\n",
        "https://api.example.com\x00",
        "https://api.example.com\\@evil.example",
        'https://api.example.com/"',
        "https://<api>.example.com",
        "https://äpi.example.com",
        "https://api.example.com:port",
        "https://api.example.com:99999",
        "https://[::1",
        "https://" + "a" * 493,
    ],
)
def test_what_is_no_absolute_https_uri_is_no_identifier(identifier: str) -> None:
    is_refused("identifier", identifier=identifier)


# The other fields


@pytest.mark.parametrize("name", ["", " invoices", "a\nb", "x" * 101])
def test_a_name_is_short_and_printable(name: str) -> None:
    is_refused("name", name=name)


@pytest.mark.parametrize("lifetime", [10, 3600])
def test_tokens_live_between_10_seconds_and_an_hour(lifetime: int) -> None:
    assert create(token_lifetime=lifetime).reply.token_lifetime == lifetime


@pytest.mark.parametrize("lifetime", [9, 0, -1, 3601])
def test_tokens_live_no_shorter_and_no_longer(lifetime: int) -> None:
    is_refused("token_lifetime", token_lifetime=lifetime)


def test_a_deployment_may_have_a_lower_limit() -> None:
    policy = replace(POLICY, token_lifetime_limit=120)
    with refused("invalid_fields"):
        api.create(asked(CreateApi(IDENTIFIER, "invoices")), NEW, policy, a_moment())


def test_each_scope_has_a_sentence_for_people() -> None:
    scopes = {"invoices:read": "Read your invoices", "x" * 100: "é" * 200}
    assert create(scopes=scopes).reply.scopes == scopes
    many = {f"s{number}": "May do it" for number in range(200)}
    assert create(scopes=many).reply.scopes == many
    assert update(scopes={}).reply.scopes == {}


@pytest.mark.parametrize("name", ["", " ", "a b", 'a"', "a\\", "é", "a\n", "x" * 101, "\x7f"])
def test_a_scope_is_named_as_rfc_6749_wants_it(name: str) -> None:
    is_refused("scopes", scopes={"read": "Read", name: "May do it"})


@pytest.mark.parametrize("sentence", ["", "a\nb", "\u202e", "x" * 201, "\x00"])
def test_a_sentence_is_short_and_printable(sentence: str) -> None:
    is_refused("scopes", scopes={"read": sentence})


@pytest.mark.parametrize("name", OIDC)
def test_a_scope_of_openid_connect_is_no_scope_of_an_api(name: str) -> None:
    is_refused("scopes", scopes={"read": "Read", name: "May do it"})


def test_there_are_200_scopes_at_most() -> None:
    is_refused("scopes", scopes={f"s{number}": "May do it" for number in range(201)})


@pytest.mark.parametrize(
    "source",
    ["account.id", "account.name", "client.name", "key.id", "account.metadata.plan", "key.metadata.a.b-c_9"],
)
def test_a_claim_comes_from_account_client_or_key(source: str) -> None:
    assert create(claims={"plan": source}).reply.claims == {"plan": source}


@pytest.mark.parametrize(
    "source",
    [
        "", "gold", "account", "account.", "account.state", "account.metadata", "account.metadata.", "user.id",
        "client.secret", "key.mac", "account.id.x", " account.id", "account.__class__", "account.metadata." + "x" * 65,
        "account.metadata.a b", "account.id\n",
    ],
)  # fmt: skip
def test_a_claim_comes_from_nowhere_else(source: str) -> None:
    is_refused("claims", claims={"plan": source})


@pytest.mark.parametrize("name", ["p", "plan", "https://example.com/plan", "a_b.c-d:e", "x" * 64])
def test_a_claim_may_have_a_name_of_its_own(name: str) -> None:
    assert create(claims={name: "account.name"}).reply.claims == {name: "account.name"}


@pytest.mark.parametrize("name", ["", "1a", "a b", "é", '"', "x" * 65, "_a"])
def test_the_name_of_a_claim_is_a_plain_word(name: str) -> None:
    is_refused("claims", claims={name: "account.name"})


@pytest.mark.parametrize(
    "name",
    [
        "iss", "sub", "aud", "exp", "nbf", "iat", "jti",  # RFC 7519
        "client_id", "scope", "auth_time", "acr", "amr", "cnf", "act",  # RFC 9068, 7800, 8693
        "active", "token_type",  # RFC 7662
        "account", "grant_id", "pos", "status", "credential", "environment", "key_id",  # ours
    ],
)  # fmt: skip
def test_names_with_a_meaning_stay_reserved(name: str) -> None:
    is_refused("claims", claims={name: "account.name"})


# Changes


def test_what_is_not_named_in_an_update_stays() -> None:
    before = an_api(claims={"plan": "account.name"})
    renamed = replace(before, name="bills", updated_at=NOW, version=2)
    assert update(before, name="bills") == Decision(api.show(renamed), (ApiUpdated(renamed),))


def test_every_field_but_the_identifier_can_be_changed() -> None:
    changes: dict[str, Any] = {
        "name": "bills",
        "scopes": {"pay": "Pay your bills"},
        "token_format": "opaque",
        "token_lifetime": 10,
        "signing_algorithm": "RS256",
        "claims": {"plan": "account.name"},
    }
    decision = update(**changes)
    assert {name: getattr(decision.reply, name) for name in changes} == changes
    assert decision.reply.identifier == IDENTIFIER
    assert decision.events == (ApiUpdated(an_api(**changes, updated_at=NOW, version=2)),)


def test_a_name_that_another_api_has_is_refused() -> None:
    with refused("conflict", reason="entity_conflict"):
        update(same_name=another_api(), name="other")
    assert update(same_name=an_api(), name="invoices").reply.name == "invoices"


def test_an_api_that_nothing_uses_is_deleted() -> None:
    assert api.delete(asked(), Facts(an_api()), POLICY, a_moment()) == Decision(None, (ApiDeleted(an_api()),))


def test_an_api_in_use_is_not_deleted() -> None:
    with refused("conflict", reason="entity_conflict"):
        api.delete(asked(), Facts(an_api(), in_use=True), POLICY, a_moment())


@pytest.mark.parametrize(("change", "body"), [(api.update, UpdateApi(name="new")), (api.delete, None)])
def test_a_change_needs_an_api_of_the_version_that_was_read(change: Any, body: Any) -> None:
    with refused("not_found", reason="entity_unknown"):
        change(asked(body), Facts(None), POLICY, a_moment())
    with refused("precondition_failed", reason="version_changed"):
        change(asked(body, if_match='"7"'), Facts(an_api()), POLICY, a_moment())
    assert change(asked(body, if_match='"1"'), Facts(an_api()), POLICY, a_moment()).events


# How long keys live


@pytest.mark.parametrize("name", KEY_RULES)
def test_a_rule_for_keys_is_set_lifted_and_dated(name: str) -> None:
    made = create(**{name: 90 * DAY})
    assert getattr(made.reply, name) == 90 * DAY
    ruled = replace(an_api(), **{name: 90 * DAY, "key_policy_at": EARLIER})
    for value, kept, at in ((0, None, NOW), (DAY, DAY, NOW), (90 * DAY, 90 * DAY, EARLIER), (None, 90 * DAY, EARLIER)):
        (event,) = update(ruled, **{name: value}, claims={"team": "account.id"}).events
        assert isinstance(event, ApiUpdated)
        assert (getattr(event.api, name), event.api.key_policy_at) == (kept, at)


@pytest.mark.parametrize("name", KEY_RULES)
@pytest.mark.parametrize("span", [1, 3599, -1, 10 * 365 * DAY + 1])
def test_a_rule_for_keys_has_bounds(name: str, span: int) -> None:
    is_refused(name, **{name: span})
