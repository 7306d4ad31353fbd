"""What is decided on a gateway's question, and for how long the same may be answered."""

from __future__ import annotations

import base64
from dataclasses import replace
from typing import Any

import pytest
from tests.protocol.given import (
    IDENTIFIER,
    KEY,
    NOW,
    POLICY,
    POSITION,
    a_client,
    a_grant,
    a_key,
    a_moment,
    a_secret,
    a_signing_key,
    a_user,
    an_account,
    an_api,
    kept,
    refused,
)

from doorward.protocol import gateway, gateway_check, route_policy
from doorward.protocol.credential import TokenFacts
from doorward.protocol.events import CredentialRefused
from doorward.protocol.gateway_check import Facts, Passage
from doorward.protocol.limit import Limit
from doorward.protocol.rotation_events import ApiKeyOverlapBegun
from doorward_verify import assertion

BEARER = (b"authorization", b"Bearer " + KEY.encode())
ASSERTS = replace(a_signing_key(), purpose="assertion")


def asked(method: str = "GET", target: str = "/invoices/7", *headers: tuple[bytes, bytes]) -> gateway.Request:
    url = f"https://api.example.com{target}".encode()
    told = [(b"x-original-method", method.encode()), (b"x-original-url", url), (b"x-real-ip", b"192.0.2.9")]
    return gateway.of_nginx([*told, *headers], "dw")


def facts(about: Any = None, **members: Any) -> Facts:
    given = {"path": "/invoices/{id}", "methods": ["GET", "POST"], "scope": "read", "service": "billing", **members}
    table = route_policy.compiled([route_policy.route(given, api=IDENTIFIER)])
    return Facts(table, about or a_key(), signing=(ASSERTS,))


def passed(request: gateway.Request, known: Facts) -> Passage:
    return gateway_check.decide(request, known, POLICY, a_moment()).reply


def test_who_passes_is_told_by_every_field() -> None:
    told = gateway_check.identity(passed(asked("GET", "/invoices/7", BEARER), facts()))
    assert told == {
        "x-auth-account": "acme", "x-auth-scope": "read", "x-auth-client": "", "x-auth-subject": "acme",
        "x-auth-key-id": "key_1", "x-auth-credential": "api_key",
    }  # fmt: skip


def test_an_assertion_says_for_whom_for_what_and_until_when() -> None:
    passage = passed(asked("POST", "/invoices/7?a=b", BEARER), facts())
    claims = gateway_check.assertion(passage, "https://auth.example.com", "once")
    assert {name: claims[name] for name in ("iss", "aud", "api", "htm", "uri", "iat", "exp", "jti", "pos")} == {
        "iss": "https://auth.example.com", "aud": "billing", "api": IDENTIFIER, "htm": "POST",
        "uri": assertion.uri("/invoices/7?a=b"), "iat": NOW, "exp": NOW + 10, "jti": "once", "pos": str(POSITION),
    }  # fmt: skip


@pytest.mark.parametrize(("left", "asserted_for", "answered_for"), [(None, 10, 5), (60, 10, 5), (7, 7, 5), (3, 3, 3)])
def test_nothing_that_is_said_of_a_key_outlives_it(left: int | None, asserted_for: int, answered_for: int) -> None:
    expires_at = None if left is None else NOW + left
    passage = passed(asked("GET", "/invoices/7", BEARER), facts(a_key(expires_at=expires_at)))
    assert gateway_check.assertion(passage, "https://auth.example.com", "x")["exp"] == NOW + asserted_for
    assert passage.answer_ends_at == NOW + answered_for
    of_secret = a_key(expires_at=None)
    of_secret = replace(of_secret, secret=replace(of_secret.secret, expires_at=expires_at))
    assert passed(asked("GET", "/invoices/7", BEARER), facts(of_secret)).answer_ends_at == NOW + answered_for


def test_what_changes_something_is_not_answered_from_memory() -> None:
    assert passed(asked("GET", "/invoices/7", BEARER), facts()).is_safe
    assert not passed(asked("POST", "/invoices/7", BEARER), facts()).is_safe
    assert passed(asked("POST"), facts(scope="", public=True)).is_safe, "nobody is asserted"


def test_the_use_of_a_new_secret_begins_the_overlap_of_the_old_one() -> None:
    waiting = replace(kept(a_secret(seed="old"), "key_1"), overlap=60, superseded_at=NOW - 5, expires_at=NOW + 900)
    decision = gateway_check.decide(
        asked("GET", "/invoices/7", BEARER), facts(replace(a_key(), waiting=waiting)), POLICY, a_moment()
    )
    (event,) = decision.events
    assert isinstance(event, ApiKeyOverlapBegun)


def test_refusing_what_exists_is_a_record_and_what_does_not_leaves_none() -> None:
    record = CredentialRefused("api_key", "key_1", "insufficient_scope")
    with refused("insufficient_scope", reason="insufficient_scope", events=(record,)):
        passed(asked("GET", "/invoices/7", BEARER), facts(scope="write"))
    other = (b"x-api-key", a_secret(seed="nobodys").encode())
    with refused("invalid_token", reason="credential_unknown", events=()):
        passed(asked("GET", "/invoices/7", other), facts())


def test_no_claim_of_the_apis_own_takes_the_place_of_one_of_ours() -> None:
    own = dict.fromkeys(("htm", "uri", "token", "api_", "plan"), "key.name")
    known = a_key()
    known = replace(known, api=replace(known.api, claims=own))
    claims = gateway_check.assertion(passed(asked("GET", "/invoices/7", BEARER), facts(known)), "x", "y")
    assert (claims["htm"], claims["uri"]) == ("GET", assertion.uri("/invoices/7"))
    assert claims["plan"] == known.api_key.name
    assert "token" not in claims


def test_without_transports_of_its_own_a_route_follows_its_api() -> None:
    basic = (b"authorization", b"Basic " + base64.b64encode(KEY.encode()))
    known = a_key(api=an_api(transports=("basic", "header")))
    for header in (basic, (b"x-api-key", KEY.encode())):
        assert passed(asked("GET", "/invoices/7", header), facts(known)).verdict
    record = CredentialRefused("api_key", "key_1", "transport_not_allowed")
    for header, own in ((BEARER, []), (basic, ["bearer", "header"])):
        with refused("invalid_request", reason="transport_not_allowed", events=(record,)):
            passed(asked("GET", "/invoices/7", header), facts(known, transports=own))


EACH = [
    {"name": each, "amount": 9, "per": "minute", "each": each} for each in ("credential", "account", "address", "route")
]


def whose(request: gateway.Request, known: Facts) -> list[str]:
    """The cells of the route, by whose they are."""
    passage = passed(request, known)
    cells = [one.cell for one in passage.charges(NOW) if one.cell.startswith("route/")]
    return [cell.removeprefix(f"{passage.route.place}/") for cell in cells]


def test_a_route_counts_each_key_account_and_address_and_all_together() -> None:
    assert whose(asked("GET", "/invoices/7", BEARER), facts(limits=EACH)) == [
        "key/key_1/credential", "account/acme/account", "address/192.0.2.9/address", "all/route",
    ]  # fmt: skip


def a_token(**fields: Any) -> TokenFacts:
    return TokenFacts("token_1", False, a_grant().grant, a_client().client, an_account(), an_api(), **fields)


def test_of_a_token_a_route_counts_who_holds_it_whatever_grant_it_is_of() -> None:
    for known, holder, account in (
        (a_token(), "client/client_1", "acme"),
        (a_token(user=a_user(), acts_for=replace(an_account(), id="other")), "user/user_1/client_1", "other"),
        (a_token(user=a_user()), "user/user_1/client_1", "acme"),
    ):
        route = facts(limits=EACH).routes.routes[0]
        cells = [one.cell for one in Passage(asked(), route, about=known).charges(NOW)]
        assert cells[:2] == [f"{route.place}/{holder}/credential", f"{route.place}/account/{account}/account"]


@pytest.mark.parametrize(
    ("address", "counted"),
    [
        (b"2001:db8:1:2:3::4", "2001:db8:1:2::/64"),
        (b"::ffff:192.0.2.9", "192.0.2.9"),
        (b"", "unknown"),
        (b"unix:", "unknown"),
        (b"a" * 10_000, "unknown"),
    ],
)
def test_an_address_is_counted_with_all_that_belong_to_one_subscriber(address: bytes, counted: str) -> None:
    told = [(b"x-original-method", b"GET"), (b"x-original-url", b"https://api.example.com/invoices/7")]
    request = gateway.of_nginx([*told, (b"x-real-ip", address)], "dw")
    of_all = [one for one in EACH if one["each"] in ("address", "route")]
    assert whose(request, facts(scope="", public=True, limits=of_all)) == [f"address/{counted}/address", "all/route"]


def test_a_cost_is_taken_of_the_limits_of_the_key_and_of_those_of_the_route() -> None:
    known = a_key(limits=(Limit("own", 100, "day"),))
    charges = passed(asked("GET", "/invoices/7", BEARER), facts(known, limits=EACH[:1], cost=5)).charges(NOW)
    assert [(one.limit.name, one.cost) for one in charges] == [("own", 5), ("credential", 5)]


def test_a_preflight_takes_nothing_of_the_route_that_it_asks_about() -> None:
    asks = [(b"origin", b"https://app.example.com"), (b"access-control-request-method", b"GET")]
    request = asked("OPTIONS", "/invoices/7", *asks)
    assert passed(request, facts(preflight=True, limits=EACH)).charges(NOW) == ()


def test_what_sent_the_request_is_told_with_its_use_and_bounded() -> None:
    request = asked("GET", "/invoices/7", BEARER, (b"user-agent", b"curl/8" + b"x" * 400), (b"user-agent", b"other"))
    assert request.agent == "curl/8" + "x" * 194
    record = CredentialRefused("api_key", "key_1", "insufficient_scope")
    with refused("insufficient_scope", events=(record,)) as found:
        passed(request, facts(scope="write"))
    assert [one.user_agent for one in found.value.uses] == [request.agent]


BASICS = (
    # user and password, the credential that is found
    (f"{KEY}:", KEY),
    (f"{KEY}:anything", KEY),
    (KEY, KEY),
    (f"user:{KEY}", KEY),
    (f":{KEY}", KEY),
    ("user:password", "password"),
    ("", ""),
)


@pytest.mark.parametrize(("pair", "found"), BASICS)
def test_by_basic_a_key_is_the_user_name_or_the_password(pair: str, found: str) -> None:
    request = asked("GET", "/", (b"authorization", b"Basic " + base64.b64encode(pair.encode())))
    assert (request.credential, request.transport, request.flaw) == (found, "basic", "")


def test_of_the_host_its_name_counts() -> None:
    for raw in (b"API.Example.com", b"api.example.com:8443", b"api.example.com.", b"api.example.com.:443"):
        assert gateway.host_name(raw) == "api.example.com"
    assert gateway.host_name(b"[::1]:443") == "[::1]"
    for bad in (b"", b"a b", b"a/b", b"a@b", b"a:b", b"\xff", b"a,b", b"[::1", b"a..", b"-a-"):
        with refused("invalid_request", reason="gateway_headers"):
            gateway.host_name(bad)
