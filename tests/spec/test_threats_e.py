"""Bad JWTs at the server: none is active, none breaks anything, and none is worth more than another (T070 to T086)."""

from __future__ import annotations

import base64
import json
import time

import pytest
from cryptography.hazmat.primitives.serialization import load_der_private_key
from tests.verify.bad_tokens import bad, good
from tests.verify.issuing import SigningKey, dumps, ec_key, hmac_signed, signed, with_signature

from doorward.sign import derive, unseal

INACTIVE = {"active": False}


@pytest.fixture(scope="module")
def client(on_sqlite):
    return on_sqlite.a_client()


@pytest.fixture(scope="module")
def verifier(on_sqlite, client):
    return on_sqlite.a_verifier(api=client["apis"][0]["api"])


@pytest.fixture
def issued(on_sqlite, client):
    """Header and claims of a good token, to be changed in one place."""
    head, payload, _ = on_sqlite.token(client).split(".")
    return json.loads(decoded(head)), json.loads(decoded(payload))


@pytest.fixture(scope="module")
def signing_key(on_sqlite):
    """The server's own key, which no attacker has: what is wrong with a token is then the one thing that is named."""
    named = "algorithm = 'ES256' AND purpose = 'token' AND state = 'active'"
    ((kid, box),) = on_sqlite.sql(f"SELECT id, private_key FROM signing_keys WHERE {named}")
    master_key = decoded((on_sqlite.directory / "master.key").read_text().strip())
    private = load_der_private_key(unseal(derive(master_key, "signing keys"), box, kid.encode()), None)
    return SigningKey(kid, private)


def decoded(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def refused_everywhere(doorward, client, verifier, token):
    """Inactive for verifier and owner; a revocation of it is no error; it is no key and no way into /v1."""
    for caller in (verifier, client):
        assert doorward.introspect(caller, token) == INACTIVE
    assert doorward.post("revoke", client, token=token).status_code == 200
    assert doorward.v1("POST", "/keys/verify", {"key": token}).json()["active"] is False
    as_admin = doorward.http.get("/v1/apis", headers={"authorization": b"Bearer " + token.encode()})
    return as_admin.status_code in (400, 401)


def test_the_control_is_accepted(on_sqlite, verifier, issued, signing_key):
    head, claims = issued
    assert on_sqlite.introspect(verifier, signed(signing_key, dumps(head), dumps(claims)))["active"] is True


@pytest.mark.parametrize("kind", bad())
def test_tokens_of_others_in_every_bad_shape(on_sqlite, client, verifier, kind):
    for name, token in bad()[kind].items():
        if sendable(token):
            assert on_sqlite.introspect(verifier, token) == INACTIVE, name
            assert on_sqlite.post("revoke", client, token=token).status_code == 200, name


def test_even_good_tokens_of_others(on_sqlite, client, verifier):
    for token in filter(sendable, good().values()):
        assert refused_everywhere(on_sqlite, client, verifier, token)


def sendable(token):
    """As a form's value; what is not is refused before it is looked at."""
    return 0 < len(token) < 8000 and "\0" not in token and token.encode(errors="ignore").decode() == token


def test_an_oversized_token_is_an_invalid_request(on_sqlite, verifier, issued, signing_key):
    head, claims = issued
    token = signed(signing_key, dumps(head), dumps({**claims, "note": "x" * 9000}))
    assert on_sqlite.post("introspect", verifier, token=token).status_code == 400


HEADERS = {
    "T083 none": {"alg": "none"},
    "another algorithm": {"alg": "RS256"},
    "no algorithm": {"alg": None},
    "T075 an ID token": {"typ": "JWT"},
    "T075 a heartbeat": {"typ": "feed+jwt"},
    "T075 no type": {"typ": None},
    "T075 a logout token": {"typ": "logout+jwt"},
    "T084 crit": {"crit": ["exp"]},
    "T084 an empty crit": {"crit": []},
    "T072 a key of its own": {"jwk": ec_key().jwk},
    "T072 an address of keys": {"jku": "https://localhost:1/jwks.json"},
    "T072 a certificate": {"x5c": ["MIIB"]},
    "T072 an address of certificates": {"x5u": "https://localhost:1/x"},
    "T073 an unknown key": {"kid": "signing_unknown"},
    "T073 no key": {"kid": None},
    "T073 a path for a key": {"kid": "../../../../dev/null"},
    "T073 SQL for a key": {"kid": "' OR 1=1 --"},
    "T085 encrypted": {"enc": "A256GCM", "alg": "dir"},
    "b64": {"b64": False, "crit": ["b64"]},
}


@pytest.mark.parametrize("case", HEADERS)
def test_a_header_that_is_wrong_in_one_place(on_sqlite, client, verifier, issued, signing_key, case):
    head, claims = issued
    changed = {name: value for name, value in {**head, **HEADERS[case]}.items() if value is not None}
    assert refused_everywhere(on_sqlite, client, verifier, signed(signing_key, dumps(changed), dumps(claims)))


CLAIMS = {
    "T077 expired": {"exp": 1_000_000_000},
    "T077 not yet": {"nbf": 4_000_000_000},
    "T077 issued in the future": {"iat": 4_000_000_000},
    "T077 a truth for a time": {"exp": True},
    "T077 text for a time": {"exp": "4000000000"},
    "T077 no end": {"exp": None},
    "T078 another issuer": {"iss": "https://evil.example"},
    "T078 an issuer that begins the same": {"iss": "https://localhost:8443.evil.example"},
    "T078 issuers": {"iss": ["https://localhost:8443"]},
    "T079 another audience": {"aud": "https://elsewhere.example"},
    "T079 audiences": {"aud": ["https://elsewhere.example"]},
    "T079 no audience": {"aud": None},
    "T080 bound": {"cnf": {"jkt": "x" * 43}},
    "T080 bound in an unknown way": {"cnf": {"x": 1}},
    "a grant that is none": {"grant_id": "grant_unknown"},
    "no grant": {"grant_id": None},
    "a grant that is no text": {"grant_id": ["x"]},
    "no identifier": {"jti": None},
    "an identifier that is no text": {"jti": 7},
    "a scope that is no text": {"scope": ["invoices:read"]},
    "no client": {"client_id": None},
    "a client that is no text": {"client_id": {"a": 1}},
    "no subject": {"sub": None},
}


@pytest.mark.parametrize("case", CLAIMS)
def test_claims_that_are_wrong_in_one_place(on_sqlite, client, verifier, issued, signing_key, case):
    head, claims = issued
    changed = {name: value for name, value in {**claims, **CLAIMS[case]}.items() if value is not None}
    assert refused_everywhere(on_sqlite, client, verifier, signed(signing_key, dumps(head), dumps(changed)))


def test_what_a_token_says_must_agree_with_its_grant(on_sqlite, client, verifier, issued, signing_key):
    """A token of one grant that names another client, account or audience is none."""
    head, claims = issued
    other = on_sqlite.a_client()
    grant = other["apis"][0]
    for change in ({"client_id": other["client_id"]}, {"account": other["account"]}, {"aud": grant["api"]},
                   {"grant_id": grant["grant_id"]}):  # fmt: skip
        token = signed(signing_key, dumps(head), dumps({**claims, **change}))
        assert on_sqlite.introspect(verifier, token) == INACTIVE, change


class TestForms:
    @pytest.fixture
    def parts(self, issued, signing_key):
        head, claims = issued
        return signed(signing_key, dumps(head), dumps(claims)).split(".")

    def test_a_public_key_is_no_shared_secret(self, on_sqlite, client, verifier, issued):
        """T071: HMAC with what everybody may read."""
        head, claims = issued
        published = on_sqlite.http.get("/.well-known/jwks.json")
        for secret in (published.content, dumps(published.json()["keys"][0]), b""):
            token = hmac_signed(secret, dumps({**head, "alg": "HS256"}), dumps(claims))
            assert refused_everywhere(on_sqlite, client, verifier, token)

    def test_without_or_with_an_empty_or_psychic_signature(self, on_sqlite, client, verifier, parts):
        text = ".".join(parts)
        right = decoded(parts[2])
        for signature in (
            b"",
            bytes(64),
            b"\xff" * 64,
            right[:63],
            right + b"\0",
            right[::-1],
            right[32:] + right[:32],
        ):
            token = with_signature(text, signature)
            assert refused_everywhere(on_sqlite, client, verifier, token)

    def test_in_another_spelling(self, on_sqlite, client, verifier, parts):
        head, payload, signature = parts
        spellings = [
            f"{head}=.{payload}.{signature}", f"{head}.{payload}.{signature}=", f" {head}.{payload}.{signature}",
            f"{head}.{payload}.{signature}\n", f"{head}.{payload}.{signature}.", f".{head}.{payload}.{signature}",
            f"{head}.{payload}", f"{head}.{payload}.{signature}.{signature}", f"{head}..{signature}",
            f"{payload}.{head}.{signature}", f"{head}.{payload}.{signature[:-1]}",
        ]  # fmt: skip
        for token in spellings:
            assert refused_everywhere(on_sqlite, client, verifier, token)

    def test_with_duplicate_members(self, on_sqlite, client, verifier, issued, signing_key):
        head, claims = (dumps(part) for part in issued)
        twice = b'{"scope":"admin",' + claims[1:]
        again = claims[:-1] + b',"scope":"admin"}'
        for token in (signed(signing_key, head, twice), signed(signing_key, head, again),
                      signed(signing_key, b'{"alg":"none",' + head[1:], claims)):  # fmt: skip
            assert refused_everywhere(on_sqlite, client, verifier, token)

    def test_with_claims_that_are_no_object(self, on_sqlite, client, verifier, issued, signing_key):
        head = dumps(issued[0])
        for raw in (b"", b"[]", b"null", b"1", b'"x"', b"\xff", b"{", b'{"exp": NaN}', b'{"a":' * 2000):
            token = signed(signing_key, head, raw)
            if sendable(token):
                assert refused_everywhere(on_sqlite, client, verifier, token)


def test_an_own_spelling_of_the_signature_is_revoked_all_the_same(on_sqlite, client, verifier, issued, signing_key):
    """T082: ECDSA is malleable and signs anew each time, so a token is known by its jti, never by its text."""
    head, claims = issued
    first, second = (signed(signing_key, dumps(head), dumps(claims)) for _ in range(2))
    assert first != second
    assert on_sqlite.introspect(verifier, first)["active"] is on_sqlite.introspect(verifier, second)["active"] is True
    assert on_sqlite.post("revoke", client, token=first).status_code == 200
    assert on_sqlite.introspect(verifier, second) == INACTIVE


def test_a_token_ends_at_its_time(on_sqlite, client, verifier, issued, signing_key):
    head, claims = issued
    now = int(time.time())
    for exp, active in ((now + 60, True), (now - 60, False)):
        token = signed(signing_key, dumps(head), dumps({**claims, "exp": exp}))
        assert on_sqlite.introspect(verifier, token)["active"] is active
