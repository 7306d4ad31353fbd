"""Client credentials grant, RFC 6749 §4.4, with resource indicators (RFC 8707)."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.protocol.given import (
    EARLIER,
    IDENTIFIER,
    NOW,
    POLICY,
    a_client,
    a_grant,
    a_moment,
    a_secret,
    a_signing_key,
    an_account,
    an_api,
    another_api,
    credentials,
    refused,
)

from doorward.protocol.client import ClientFacts
from doorward.protocol.client_authentication import ClientCredentials
from doorward.protocol.decision import Decision
from doorward.protocol.entities import SigningKey
from doorward.protocol.events import AccessTokenIssued, CredentialRefused
from doorward.protocol.form import Form
from doorward.protocol.grant_types import client_credentials
from doorward.protocol.policy import Policy
from doorward.protocol.status_list import Place
from doorward.protocol.token import TokenResponse

TWO_APIS = (a_grant(), a_grant(another_api(), "read"))


def redeem(
    client: ClientFacts | None, shown: ClientCredentials | None = None, **parameters: str | tuple[str, ...]
) -> Decision[TokenResponse]:
    fields = {name: (value,) if isinstance(value, str) else value for name, value in parameters.items()}
    request = client_credentials.parse(shown or credentials(), Form(fields))
    facts = client_credentials.Facts(client, (a_signing_key(),))
    return client_credentials.decide(request, facts, POLICY, a_moment())


def test_a_client_gets_a_token_for_itself() -> None:
    decision = redeem(a_client())
    assert decision.reply.claims["sub"] == "client_1"
    assert decision.reply.claims["aud"] == IDENTIFIER
    assert len(decision.events) == 1


def test_a_client_without_its_secret_gets_none() -> None:
    for client in (None, a_client()):
        with refused("invalid_client"):
            redeem(client, credentials(text=a_secret("s", seed="wrong")))


@pytest.mark.parametrize(
    ("client", "reason"),
    [
        (a_client(state="disabled"), "client_disabled"),
        (a_client(account=an_account(state="suspended")), "account_suspended"),
    ],
)
def test_a_disabled_client_or_one_of_a_suspended_account_gets_none(client: ClientFacts, reason: str) -> None:
    with refused("invalid_client", reason=reason, events=(CredentialRefused("client", "client_1", reason),)):
        redeem(client)


def test_the_client_must_be_registered_for_the_grant_type() -> None:
    with refused("unauthorized_client", reason="grant_type_not_allowed"):
        redeem(a_client(grant_types=("refresh_token",)))


def test_without_a_scope_all_that_was_granted_is_given() -> None:
    assert redeem(a_client(a_grant(allowed="write read"))).reply.scope == "read write"
    assert redeem(a_client(), scope=()).reply.scope == "read write"


def test_the_scope_may_be_narrower_than_what_was_granted() -> None:
    decision = redeem(a_client(), scope="read")
    assert decision.reply.scope == decision.reply.claims["scope"] == "read"


def test_the_scope_must_not_exceed_what_was_granted() -> None:
    with refused("invalid_scope", reason="scope_invalid"):
        redeem(a_client(a_grant(allowed="read")), scope="read write")


def test_a_malformed_scope_is_refused() -> None:
    with refused("invalid_scope"):
        redeem(a_client(), scope="read  write")


def test_the_only_api_of_a_client_is_its_default() -> None:
    assert redeem(a_client(a_grant(another_api()))).reply.claims["aud"] == "https://other.example.com"


def test_a_client_of_several_apis_must_name_one() -> None:
    client = a_client(*TWO_APIS)
    with refused("invalid_target", reason="resource_unknown"):
        redeem(client)
    assert redeem(client, resource=IDENTIFIER).reply.claims["aud"] == IDENTIFIER
    assert redeem(client, resource="https://other.example.com").reply.scope == "read"


@pytest.mark.parametrize("resource", ["https://unknown.example.com", f"{IDENTIFIER}/", IDENTIFIER.upper(), "api_1"])
def test_an_unknown_resource_is_refused(resource: str) -> None:
    for client in (a_client(), a_client(*TWO_APIS)):
        with refused("invalid_target", reason="resource_unknown"):
            redeem(client, resource=resource)


def test_a_token_is_for_one_resource() -> None:
    for resources in ((IDENTIFIER, "https://other.example.com"), (IDENTIFIER, IDENTIFIER)):
        with refused("invalid_target"):
            redeem(a_client(*TWO_APIS), resource=resources)


def test_the_scope_of_one_api_is_not_the_scope_of_another() -> None:
    with refused("invalid_scope"):
        redeem(a_client(*TWO_APIS), resource="https://other.example.com", scope="write")


def test_a_revoked_grant_gives_no_token() -> None:
    with refused("invalid_target"):
        redeem(a_client(a_grant(revoked_at=EARLIER)))
    with refused("invalid_target"):
        redeem(a_client(a_grant(revoked_at=EARLIER)), resource=IDENTIFIER)


def test_a_revoked_grant_does_not_make_the_other_ambiguous() -> None:
    client = a_client(a_grant(revoked_at=EARLIER), a_grant(another_api()))
    assert redeem(client).reply.claims["aud"] == "https://other.example.com"


def test_a_scope_that_the_api_no_longer_defines_is_gone() -> None:
    client = a_client(a_grant(an_api(scopes={"read": "Read"})))
    assert redeem(client).reply.scope == "read"
    with refused("invalid_scope"):
        redeem(client, scope="write")


# The very same request, again

KEYS = (a_signing_key(),)


def again(
    decision: Decision[TokenResponse], client: ClientFacts | None, keys: tuple[SigningKey, ...] = KEYS,
    policy: Policy = POLICY, now: int = NOW,
) -> Decision[TokenResponse | None]:  # fmt: skip
    assert decision.reply.terms is not None
    return client_credentials.again(
        decision.reply.terms, client_credentials.Facts(client, keys), policy, a_moment(now, seed="again")
    )


def first(client: ClientFacts) -> Decision[TokenResponse]:
    request = client_credentials.parse(credentials(), Form({}))
    return client_credentials.decide(request, client_credentials.Facts(client, KEYS), POLICY, a_moment())


def test_again_only_the_moment_differs() -> None:
    client = a_client()
    one, other = first(client), again(first(client), client, now=NOW + 7)
    assert other.reply is not None
    assert replace(other.reply, stamp=one.reply.stamp, terms=one.reply.terms) == one.reply
    assert (other.reply.stamp.iat, other.reply.stamp.exp) == (NOW + 7, NOW + 7 + 300)
    assert other.reply.stamp.jti != one.reply.stamp.jti
    assert other.events == (AccessTokenIssued(other.reply.stamp.jti, "client_1", "grant_api_1", NOW + 307),)


def test_what_is_not_the_very_same_is_decided_anew() -> None:
    client = a_client()
    issued, nothing = first(client), Decision(None)
    assert again(issued, client) != nothing
    # Equal is not the same: what memory dropped may have changed and come back.
    assert again(issued, replace(client)) == nothing
    assert again(issued, None) == nothing
    assert again(issued, client, keys=(a_signing_key(),)) == nothing
    assert again(issued, client, policy=replace(POLICY)) == nothing


def test_again_a_secret_is_good_until_it_ends() -> None:
    client = a_client()
    client = replace(client, secrets=(replace(client.secrets[0], expires_at=NOW + 60),))
    issued = first(client)
    assert again(issued, client, now=NOW + 59).events
    assert again(issued, client, now=NOW + 60) == Decision(None)


def test_while_two_secrets_live_each_use_is_decided() -> None:
    client = a_client()
    other = replace(client.secrets[0], id="2", mac=bytes(32))
    assert first(replace(client, secrets=(*client.secrets, other))).reply.terms is None
    assert first(replace(client, secrets=(*client.secrets, replace(other, revoked_at=EARLIER)))).reply.terms is not None


def test_a_bit_in_a_status_list_is_taken_each_time() -> None:
    facts = client_credentials.Facts(a_client(a_grant(an_api(status_list=True))), KEYS, Place(1, 0, NOW + 400))
    request = client_credentials.parse(credentials(), Form({}))
    assert client_credentials.decide(request, facts, POLICY, a_moment()).reply.terms is None
