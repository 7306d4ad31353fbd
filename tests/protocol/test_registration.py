"""What a client may be registered as: grant types, methods and addresses that fit together."""

from __future__ import annotations

from typing import Any

import pytest
from tests.protocol.allowed import BOTH, CALLBACK, a_public_app, an_app
from tests.protocol.given import IDENTIFIER, POLICY, a_client, a_moment, an_account, an_api, asked, refused

from doorward.protocol import client, registration
from doorward.protocol.client import CreateClient, CreateFacts, Facts, NewClientObject, UpdateClient
from doorward.protocol.events import ClientCreated

WRONG: tuple[tuple[dict[str, Any], str], ...] = (
    ({"grant_types": ()}, "grant_types"),
    ({"grant_types": ("authorization_code", "authorization_code")}, "grant_types"),
    ({"grant_types": ("refresh_token",)}, "grant_types"),
    ({"grant_types": ("client_credentials", "refresh_token")}, "grant_types"),
    ({"redirect_uris": ()}, "redirect_uris"),
    ({"redirect_uris": ("https://client.example/#",)}, "redirect_uris"),
    ({"post_logout_redirect_uris": ("http://client.example/",)}, "post_logout_redirect_uris"),
    ({"localhost_any_port": True}, "localhost_any_port"),
    ({"client_uri": "http://client.example"}, "client_uri"),
    ({"client_uri": "javascript:alert(1)"}, "client_uri"),
    ({"logo_uri": "data:image/png,x"}, "logo_uri"),
    ({"logo_uri": "com.example.app:/logo"}, "logo_uri"),
    ({"backchannel_logout_uri": "http://127.0.0.1/logout"}, "backchannel_logout_uri"),
    ({"backchannel_logout_uri": "https://a@client.example/"}, "backchannel_logout_uri"),
)


@pytest.mark.parametrize(("fields", "field"), WRONG)
def test_what_does_not_fit_is_refused_by_its_name(fields: dict[str, Any], field: str) -> None:
    with refused("invalid_fields") as caught:
        registration.checked(an_app(**fields).client)
    assert caught.value.fields[0][0] == field


def test_a_public_client_has_nothing_to_act_for_itself_with() -> None:
    with refused("invalid_fields"):
        registration.checked(a_public_app(grant_types=("client_credentials",)).client)
    with refused("invalid_fields"):
        registration.checked(a_public_app(grant_types=("authorization_code", "client_credentials")).client)


def test_what_fits_is_taken() -> None:
    for fits in (
        a_client(), an_app(), a_public_app(localhost_any_port=True), an_app(grant_types=(*BOTH, "client_credentials")),
        an_app(client_uri="https://client.example", logo_uri="https://client.example/logo.svg"),
    ):  # fmt: skip
        assert registration.checked(fits.client) == fits.client


def create(**fields: Any) -> NewClientObject:
    given = {
        "account": "acme",
        "name": "Books",
        "grant_types": ["authorization_code"],
        "redirect_uris": [CALLBACK],
        **fields,
    }
    body = CreateClient(**given)
    facts = CreateFacts(an_account(), an_api() if body.api else None)
    decision = client.create(asked(body), facts, POLICY, a_moment())
    (event,) = decision.events
    assert isinstance(event, ClientCreated)
    assert (event.secret is None) == (decision.reply.client_secret is None)
    return decision.reply


def test_a_public_client_is_made_without_a_secret() -> None:
    assert create(token_endpoint_auth_method="none").client_secret is None
    assert create().client_secret


def test_a_client_without_an_api_may_ask_who_the_user_is_and_nothing_else() -> None:
    assert create().apis == []
    assert [one.api for one in create(api="invoices", scope="read").apis] == [IDENTIFIER]


@pytest.mark.parametrize("fields", [{"api": "invoices"}, {"scope": "read"}])
def test_api_and_scope_come_together(fields: dict[str, str]) -> None:
    with refused("invalid_fields"):
        create(**fields)


def test_who_acts_for_itself_needs_an_api() -> None:
    with refused("invalid_fields"):
        create(grant_types=["client_credentials"])


def change(body: UpdateClient, **fields: Any) -> Any:
    return client.update(asked(body, id="client_1"), Facts(an_app(**fields)), POLICY, a_moment()).reply


def test_addresses_are_replaced_as_a_whole() -> None:
    other = "https://client.example/other"
    assert change(UpdateClient(redirect_uris=[other])).redirect_uris == [other]
    assert change(UpdateClient(name="New")).redirect_uris == [CALLBACK]
    for uris in ([], [other, "https://client.example/#"]):
        with refused("invalid_fields"):
            change(UpdateClient(redirect_uris=uris))


def test_an_empty_text_takes_an_address_away() -> None:
    uri = "https://client.example"
    assert change(UpdateClient(client_uri=uri)).client_uri == uri
    assert change(UpdateClient(client_uri=""), client_uri=uri).client_uri is None
    assert change(UpdateClient(first_party=False), first_party=True).first_party is False


def test_a_public_client_does_not_become_another() -> None:
    body = UpdateClient(token_endpoint_auth_method="client_secret_post")
    with refused("invalid_fields"):
        client.update(asked(body, id="client_1"), Facts(a_public_app()), POLICY, a_moment())
