"""Clients at the token endpoint when they come with codes and refresh tokens: RFC 6749 §2.1, §2.3 and §2.4."""

from __future__ import annotations

from urllib.parse import urlencode

import pytest
from tests.browsing import (
    CALLBACK,
    PROOF,
    a_code,
    a_public_app,
    address_of,
    an_app,
    asking,
    redeem,
    refresh,
    sent_back,
    tokens,
)
from tests.deployment import FORM


@pytest.fixture
def doorward(on_sqlite):
    return on_sqlite


def failed(reply, error="invalid_client", status=401):
    assert (reply.status_code, reply.json()["error"]) == (status, error), reply.text
    return True


def in_body(client):
    return {"client_id": client["client_id"], "client_secret": client["client_secret"]}


@pytest.fixture(params=["authorization_code", "refresh_token"])
def grant(request, browser):
    """For a client: the form of a token request that would succeed if it came from that client."""

    def form(client):
        if request.param == "refresh_token":
            return {"grant_type": request.param, "refresh_token": tokens(browser, client)["refresh_token"]}
        return {"grant_type": request.param, "code": a_code(browser, client), "code_verifier": PROOF.verifier}

    return form


def test_2_1_a_public_client_has_no_secret_and_a_confidential_one_has(doorward):
    assert a_public_app(doorward)["client_secret"] is None
    assert an_app(doorward)["client_secret"].startswith("dws_live_")


def test_2_1_a_public_client_cannot_act_for_itself(doorward):
    """§4.4: the client credentials grant type MUST only be used by confidential clients."""
    body = {"grant_types": ["client_credentials"], "token_endpoint_auth_method": "none"}
    given = {"name": "x", "account": doorward.an_account()["id"], **body}
    reply = doorward.v1("POST", "/clients", given)
    assert (reply.status_code, reply.json()["errors"][0]["field"]) == (422, "grant_types")
    assert failed(
        doorward.post("token", None, grant_type="client_credentials", client_id=a_public_app(doorward)["client_id"]),
        "unauthorized_client",
        400,
    )


def test_2_3_one_method_in_each_request(doorward, grant):
    """The client MUST NOT use more than one authentication method in each request."""
    client = an_app(doorward)
    form = grant(client)
    assert failed(doorward.post("token", client, **form, **in_body(client)), "invalid_request", 400)
    assert doorward.post("token", client, **form).status_code == 200, "the attempt used nothing up"


def test_2_3_a_public_client_is_identified_by_its_id_alone(doorward, grant):
    client = a_public_app(doorward)
    form = grant(client)
    assert failed(doorward.post("token", None, **form))
    assert failed(doorward.post("token", None, **form, client_id="client_unknown"))
    assert doorward.post("token", None, **form, client_id=client["client_id"]).status_code == 200


def test_2_3_1_basic_is_supported_for_clients_with_a_secret(doorward, grant):
    """The authorization server MUST support the HTTP Basic authentication scheme."""
    client = an_app(doorward)
    assert doorward.post("token", client, **grant(client)).status_code == 200


def test_2_3_1_and_so_is_the_body(doorward, grant):
    client = an_app(doorward)
    assert doorward.post("token", None, **grant(client), **in_body(client)).status_code == 200


@pytest.mark.parametrize("where", ["secret", "code", "both"])
def test_2_3_1_never_in_the_uri(doorward, browser, where):
    """The parameters MUST NOT be included in the request URI."""
    client = an_app(doorward)
    code = {"grant_type": "authorization_code", "code": a_code(browser, client), "code_verifier": PROOF.verifier}
    query = {**(in_body(client) if where != "code" else {}), **(code if where != "secret" else {})}
    form = {**code, **in_body(client)}
    rest = {name: value for name, value in form.items() if name not in query}
    reply = doorward.http.post("/oauth/token", params=query, content=urlencode(rest), headers=FORM)
    assert reply.status_code in (400, 401)
    assert "access_token" not in reply.text
    assert redeem(doorward, client, code["code"]).status_code == 200


def test_2_3_1_the_method_that_was_registered_is_the_only_one(doorward, browser):
    """Decision 34."""
    client = an_app(doorward, token_endpoint_auth_method="client_secret_post")
    code = a_code(browser, client)
    form = {"grant_type": "authorization_code", "code": code, "code_verifier": PROOF.verifier}
    assert failed(doorward.post("token", client, **form))
    assert doorward.post("token", None, **form, **in_body(client)).status_code == 200


def test_2_4_an_unregistered_client_gets_nothing(doorward, browser):
    stranger = {"client_id": "https://client.example/", "client_secret": None}
    reply = browser.get(address_of(asking(stranger)))
    assert (reply.status_code, "location" in reply.headers) == (400, False)
    assert failed(redeem(doorward, stranger, "x"))
    assert failed(refresh(doorward, stranger, "x"))


def test_a_client_that_is_not_registered_for_the_grant_is_not_authorized_for_it(doorward, browser):
    """§5.2 unauthorized_client."""
    client = an_app(doorward, grant_types=["authorization_code"])
    got = redeem(doorward, client, a_code(browser, client), redirect_uri=CALLBACK).json()
    assert "refresh_token" not in got
    assert failed(refresh(doorward, client, "dwr_live_" + "0" * 50), "unauthorized_client", 400)
    worker = doorward.a_client()
    assert failed(redeem(doorward, worker, "x"), "unauthorized_client", 400)
    assert sent_back(browser.get(address_of(asking(an_app(doorward, grant_types=["client_credentials"])))))[
        "error"
    ] == ("unauthorized_client")
