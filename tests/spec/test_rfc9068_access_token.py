"""JWT access tokens as any library would read them: RFC 9068 §2.1 and §2.2, RFC 7515 §3.1.

Signatures are checked here with `cryptography` alone, so that the project's own parser does not vouch for itself.
"""

from __future__ import annotations

import base64
import json
import time

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

GRANT = {"grant_type": "client_credentials"}


def decoded(part):
    raw = base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
    assert base64.urlsafe_b64encode(raw).decode().rstrip("=") == part, "not canonical base64url without padding"
    return raw


def number(text):
    return int.from_bytes(decoded(text), "big")


def verify(jwk, signed, signature):
    if jwk["kty"] == "EC":
        assert len(signature) == 64
        public = ec.EllipticCurvePublicNumbers(number(jwk["x"]), number(jwk["y"]), ec.SECP256R1()).public_key()
        halves = (int.from_bytes(half, "big") for half in (signature[:32], signature[32:]))
        public.verify(encode_dss_signature(*halves), signed, ec.ECDSA(SHA256()))
    else:
        rsa_key = rsa.RSAPublicNumbers(number(jwk["e"]), number(jwk["n"])).public_key()
        assert rsa_key.key_size >= 2048
        rsa_key.verify(signature, signed, padding.PKCS1v15(), SHA256())


def opened(doorward, token):
    """Header and claims, once the signature was found good with the published key of that `kid`."""
    head, payload, signature = token.split(".")
    header = json.loads(decoded(head))
    keys = {key["kid"]: key for key in doorward.http.get("/.well-known/jwks.json").json()["keys"]}
    jwk = keys[header["kid"]]
    assert jwk["alg"] == header["alg"]
    verify(jwk, f"{head}.{payload}".encode(), decoded(signature))
    return header, json.loads(decoded(payload))


@pytest.fixture(params=["ES256", "RS256"])
def api(request, doorward):
    return doorward.an_api(signing_algorithm=request.param, token_lifetime=120)


def test_the_header_names_type_algorithm_and_key_and_nothing_else(doorward, api):
    header, _ = opened(doorward, doorward.token(doorward.a_client(api=api["identifier"])))
    assert header.keys() == {"typ", "alg", "kid"}
    assert (header["typ"], header["alg"]) == ("at+jwt", api["signing_algorithm"])


def test_the_claims_are_those_of_2_2(doorward, api):
    client = doorward.a_client(api=api["identifier"])
    before = int(time.time())
    _, claims = opened(doorward, doorward.token(client, scope="invoices:read"))
    assert claims["iss"] == doorward.issuer
    assert claims["aud"] == api["identifier"]
    assert claims["sub"] == claims["client_id"] == client["client_id"]
    assert claims["scope"] == "invoices:read"
    assert claims["account"] == client["account"]
    assert claims["grant_id"] == client["apis"][0]["grant_id"]
    assert before <= claims["iat"] <= time.time()
    assert claims["exp"] - claims["iat"] == 120
    assert {type(claims[name]) for name in ("iat", "exp")} == {int}
    epoch, _, seq = claims["pos"].partition(":")
    assert (int(epoch), int(seq) > 0) == (1, True)


def test_expires_in_is_the_lifetime_of_the_token(doorward, api):
    answer = doorward.post("token", doorward.a_client(api=api["identifier"]), **GRANT).json()
    assert answer["expires_in"] == 120


def test_an_edited_token_no_longer_verifies(doorward, api):
    head, payload, signature = doorward.token(doorward.a_client(api=api["identifier"])).split(".")
    claims = {**json.loads(decoded(payload)), "scope": "invoices:read invoices:write admin"}
    forged = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    with pytest.raises(InvalidSignature):
        opened(doorward, f"{head}.{forged}.{signature}")


def test_every_token_has_an_identifier_of_its_own(doorward):
    client = doorward.a_client()
    tokens = doorward.at_once(8, lambda _: [doorward.token(client) for _ in range(8)])
    identifiers = [opened(doorward, token)[1]["jti"] for some in tokens for token in some]
    assert len(set(identifiers)) == 64


class TestCustomClaims:
    """Decision 19b."""

    def test_they_are_mapped_from_account_and_client(self, doorward):
        claims = {"tier": "account.metadata.tier", "team": "client.metadata.team", "customer": "account.name"}
        api = doorward.an_api(claims={**claims, "absent": "account.metadata.none", "keys": "key.id"})
        account = doorward.an_account(name="Zürich & Söhne", metadata={"tier": 3})
        client = doorward.a_client(api=api["identifier"], account=account["id"], metadata={"team": "blue"})
        _, found = opened(doorward, doorward.token(client))
        assert (found["tier"], found["team"], found["customer"]) == (3, "blue", "Zürich & Söhne")
        assert "absent" not in found
        assert "keys" not in found

    @pytest.mark.parametrize("name", ["iss", "sub", "aud", "exp", "scope", "cnf", "act", "pos", "jti", "account"])
    def test_reserved_names_are_refused(self, doorward, name):
        body = {"identifier": "https://reserved.example", "name": "reserved", "claims": {name: "account.name"}}
        reply = doorward.v1("POST", "/apis", body)
        assert (reply.status_code, reply.json()["errors"][0]["field"]) == (422, "claims")

    def test_a_change_of_the_metadata_is_in_the_next_token(self, doorward):
        api = doorward.an_api(claims={"tier": "account.metadata.tier"})
        account = doorward.an_account(metadata={"tier": "gold"})
        client = doorward.a_client(api=api["identifier"], account=account["id"])
        assert opened(doorward, doorward.token(client))[1]["tier"] == "gold"
        doorward.v1("PATCH", f"/accounts/{account['id']}", {"metadata": {"tier": "silver"}})
        assert opened(doorward, doorward.token(client))[1]["tier"] == "silver"

    def test_a_token_over_4_kib_is_refused_at_issue(self, doorward):
        api = doorward.an_api(claims={f"c{n}": "account.metadata.long" for n in range(4)})
        account = doorward.an_account(metadata={"long": "x" * 1000})
        client = doorward.a_client(api=api["identifier"], account=account["id"])
        reply = doorward.post("token", client, **GRANT)
        assert (reply.status_code, reply.json()["reason"]) == (400, "token_claims_too_large")
        doorward.v1("PATCH", f"/accounts/{account['id']}", {"metadata": {"long": "x" * 500}})
        assert len(doorward.token(client)) <= 4096


def test_no_token_lives_longer_than_an_hour(doorward):
    body = {"identifier": "https://long.example", "name": "long", "token_lifetime": 3601}
    assert doorward.v1("POST", "/apis", body).status_code == 422
    api = doorward.an_api(token_lifetime=3600)
    assert doorward.v1("PATCH", f"/apis/{api['id']}", {"token_lifetime": 3601}).status_code == 422
