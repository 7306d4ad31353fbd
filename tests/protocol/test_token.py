"""The token response, RFC 6749 §5.1, and the claims of an access token, RFC 9068 §2.2."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
from tests.protocol.given import (
    EARLIER,
    IDENTIFIER,
    NOW,
    POLICY,
    a_client,
    a_grant,
    a_moment,
    a_signing_key,
    an_account,
    an_api,
    another_api,
    refused,
    scope,
    text_of,
)

from doorward.protocol import token
from doorward.protocol.client import ClientFacts
from doorward.protocol.decision import Decision
from doorward.protocol.entities import ListedToken, SigningKey
from doorward.protocol.events import AccessTokenIssued
from doorward.protocol.policy import Policy
from doorward.protocol.refusal import InvalidRequest
from doorward.protocol.status_list import Place
from doorward.protocol.token import TokenResponse, choose, read, signing_key
from doorward_verify import api_key

CLAIMS = {
    "iss": "https://auth.example.com",
    "sub": "client_1",
    "aud": IDENTIFIER,
    "client_id": "client_1",
    "scope": "read write",
    "grant_id": "grant_api_1",
    "account": "acme",
}


def a_signing_key_of(algorithm: str, state: str = "active", kid: str = "") -> SigningKey:
    return SigningKey(kid or f"{algorithm}_{state}", algorithm, state, {}, b"", EARLIER)


KEYS = tuple(a_signing_key_of(algorithm) for algorithm in ("ES256", "RS256"))


def issue(
    client: ClientFacts | None = None, policy: Policy = POLICY, keys: tuple[SigningKey, ...] = KEYS, **api: Any
) -> Decision[TokenResponse]:
    facts = client or a_client(a_grant(an_api(**api)))
    granted = facts.grants[0]
    return token.issue(token.settle(facts, granted, granted.grant.scope, keys, policy), a_moment())


def mapped(claims: dict[str, str], account: dict[str, Any] | None = None, client: dict[str, Any] | None = None) -> Any:
    """The claims that an api's mapping adds to those of every token."""
    facts = a_client(
        a_grant(an_api(claims=claims)), account=an_account(metadata=account or {}), metadata=client or {}
    )  # fmt: skip
    found = issue(facts).reply.claims
    assert CLAIMS.items() <= found.items()
    return {name: value for name, value in found.items() if name not in CLAIMS}


# JWTs


def test_a_token_says_who_issued_it_to_whom_for_what() -> None:
    assert issue().reply.claims == CLAIMS


def test_a_token_is_stamped_with_its_time_and_the_position_of_its_facts() -> None:
    stamp = issue().reply.stamp
    assert (stamp.iat, stamp.exp, stamp.pos) == (NOW, NOW + 300, "2:41")
    assert len(stamp.jti) == 22
    assert stamp.jti.isalnum()


def test_no_two_tokens_have_the_same_id() -> None:
    terms, moment = token.settle(a_client(), a_grant(), scope("read"), KEYS, POLICY), a_moment()
    issued = [token.issue(terms, moment) for _ in range(500)]
    assert len({decision.reply.stamp.jti for decision in issued}) == 500


def test_the_issue_of_a_jwt_is_recorded_without_the_token() -> None:
    decision = issue()
    assert decision.events == (
        AccessTokenIssued(decision.reply.stamp.jti, "client_1", "grant_api_1", NOW + 300),
    )  # fmt: skip
    assert decision.reply.token is None


def test_the_lifetime_is_the_apis_and_never_above_the_limit() -> None:
    assert issue(token_lifetime=60).reply.expires_in == 60
    long = issue(token_lifetime=7200)
    assert long.reply.expires_in == 3600
    assert long.reply.stamp.exp == NOW + 3600


@pytest.mark.parametrize("algorithm", ["ES256", "RS256"])
def test_the_api_chooses_the_signing_algorithm(algorithm: str) -> None:
    assert issue(signing_algorithm=algorithm).reply.signing_key == a_signing_key_of(algorithm)


@pytest.mark.parametrize("state", ["pending", "retired", "removed"])
def test_only_an_active_key_signs(state: str) -> None:
    active = a_signing_key_of("ES256", kid="the_active_one")
    assert signing_key((a_signing_key_of("ES256", state), active), "ES256") == active
    with refused("temporarily_unavailable", reason="store_unavailable"):
        issue(keys=(a_signing_key_of("ES256", state), a_signing_key_of("RS256")))


# A bit in a status list


PLACE = Place(17, 413, NOW + 300)
LISTED = a_client(a_grant(an_api(status_list=True)))


def issue_listed(place: Place | None = PLACE, client: ClientFacts = LISTED) -> Decision[TokenResponse]:
    granted = client.grants[0]
    return token.issue(token.settle(client, granted, granted.grant.scope, KEYS, POLICY), a_moment(), place)


def test_a_token_names_its_bit_and_the_record_of_its_issue_all_that_it_hangs_on() -> None:
    decision = issue_listed()
    assert decision.reply.stamp.status == {
        "status_list": {"idx": 413, "uri": "https://auth.example.com/statuslists/17"}
    }  # fmt: skip
    assert decision.reply.claims == CLAIMS
    (event,) = decision.events
    assert isinstance(event, AccessTokenIssued)
    assert event.listed == ListedToken(
        decision.reply.stamp.jti, 17, 413, "grant_api_1", "client_1", "acme", "ES256_active", 41, NOW + 300
    )  # fmt: skip


def test_an_api_that_did_not_ask_for_it_has_none() -> None:
    decision = issue_listed(client=a_client())
    assert decision.reply.stamp.status is None
    assert getattr(decision.events[0], "listed", None) is None


@pytest.mark.parametrize("place", [None, PLACE._replace(expires_at=NOW + 299)])
def test_no_token_is_issued_that_could_not_be_ended_in_its_list(place: Place | None) -> None:
    with refused("temporarily_unavailable", reason="store_unavailable"):
        issue_listed(place)


def test_an_opaque_token_has_no_bit() -> None:
    (event,) = issue(token_format="opaque").events
    assert getattr(event, "listed", None) is None


# Opaque tokens


def test_an_opaque_token_is_a_secret_of_its_own_kind() -> None:
    decision = issue(token_format="opaque", keys=())
    assert decision.reply.token is not None
    found = api_key.parse(decision.reply.token)
    assert (found.kind, found.environment, found.id) == ("o", "live", decision.reply.stamp.jti)
    assert decision.reply.signing_key is None


def test_an_opaque_token_is_kept_as_a_mac_with_what_introspection_answers() -> None:
    decision = issue(token_format="opaque", token_lifetime=60)
    (event,) = decision.events
    assert isinstance(event, AccessTokenIssued)
    row = event.opaque_token
    assert row is not None
    assert event == AccessTokenIssued(row.id, "client_1", "grant_api_1", NOW + 60, row)
    assert row.mac == POLICY.pepper.mac(api_key.digest(decision.reply.token or ""))
    assert row.claims == {
        **CLAIMS, "iat": NOW, "exp": NOW + 60, "jti": row.id, "pos": "2:41",
    }  # fmt: skip
    assert (row.grant_id, row.client_id, row.account_id, row.api_id) == ("grant_api_1", "client_1", "acme", "api_1")
    assert (row.pepper_version, row.created_at, row.expires_at, row.revoked_at) == (2, NOW, NOW + 60, None)


def test_an_opaque_token_is_in_the_reply_and_nowhere_else() -> None:
    decision = issue(token_format="opaque")
    assert decision.reply.token
    assert decision.reply.token not in f"{decision!r} {decision.events!r}"


# Claims of the api's own


def test_custom_claims_come_from_account_and_client() -> None:
    sources = {"customer": "account.name", "plan": "account.metadata.plan", "seats": "client.metadata.seats"}
    claims = mapped(sources, account={"plan": "gold"}, client={"seats": 5})
    assert claims == {"customer": "Acme Inc", "plan": "gold", "seats": 5}


def test_an_absent_value_is_left_out_and_a_false_one_is_not() -> None:
    sources = {"plan": "account.metadata.plan", "trial": "client.metadata.trial", "n": "client.metadata.n"}
    assert mapped(sources, client={"trial": False, "n": 0}) == {"trial": False, "n": 0}


def test_a_token_has_no_claims_of_keys() -> None:
    assert mapped({"key_name": "key.name", "id": "client.id"}) == {"id": "client_1"}


@pytest.mark.parametrize(
    ("path", "value"), [("id", "acme"), ("name", "Acme Inc"), ("metadata.plan", "gold"), ("metadata.other", None)]
)
def test_a_source_is_read_from_its_entity(path: str, value: str | None) -> None:
    assert read(an_account(metadata={"plan": "gold"}), path) == value


def test_a_dot_in_a_metadata_name_is_part_of_it() -> None:
    assert read(an_account(metadata={"a.b": 1}), "metadata.a.b") == 1


# The size budget


def with_claim(length: int, algorithm: str = "ES256") -> ClientFacts:
    api = an_api(claims={"big": "account.metadata.big"}, signing_algorithm=algorithm)
    return a_client(a_grant(api), account=an_account(metadata={"big": "x" * length}))


@pytest.mark.parametrize("algorithm", ["ES256", "RS256"])
def test_a_token_above_4_kib_is_refused_before_it_is_signed(algorithm: str) -> None:
    assert issue(with_claim(2200, algorithm)).reply.claims["big"] == "x" * 2200
    with refused("invalid_request", reason="token_claims_too_large"):
        issue(with_claim(3000, algorithm))


def test_a_long_scope_makes_a_token_too_large_too() -> None:
    scopes = {f"{number:0>99}": "May do it" for number in range(40)}
    with refused("invalid_request", reason="token_claims_too_large"):
        issue(a_client(a_grant(an_api(scopes=scopes), " ".join(scopes))))
    assert issue(a_client(a_grant(an_api(scopes=scopes), " ".join([*scopes][:15]))))


def test_tokens_are_issued_up_to_4_kib_and_never_above() -> None:
    keys = (a_signing_key("signing_0123456789abcdef"),)
    sizes = []
    for length in range(2000, 3000, 5):
        with suppress(InvalidRequest):
            sizes.append(len(text_of(issue(with_claim(length), keys=keys))))
    assert 3900 < max(sizes) <= 4096


# The resource


def test_the_grant_for_the_named_resource_is_chosen() -> None:
    one, two = a_grant(), a_grant(another_api())
    assert choose((one, two), (IDENTIFIER,)) == one
    assert choose((one, two), (two.api.identifier,)) == two
    assert choose((two,), ()) == two


@pytest.mark.parametrize(("resources", "told"), [((), "is needed"), ((IDENTIFIER,), "is unknown")])
def test_without_a_grant_there_is_no_resource(resources: tuple[str, ...], told: str) -> None:
    with refused("invalid_target", reason="resource_unknown") as caught:
        choose((), resources)
    assert told in caught.value.description


def test_two_grants_for_one_api_are_no_choice() -> None:
    with refused("invalid_target"):
        choose((a_grant(), replace(a_grant())), (IDENTIFIER,))
