"""ID tokens as clients get them, OpenID Connect Core §2, §3.1.3 and §10.1; and what they are not good for (T076)."""

from __future__ import annotations

import time

import pytest
from tests.browsing import a_public_app, address_of, an_app, asking, refresh, sent_back, signed_in
from tests.deployment import deployed
from tests.openid import (
    EVERYTHING,
    NONCE,
    authorize,
    identified,
    identity,
    keys,
    known,
    read,
    redeemed,
    signed_in_earlier,
    somebody,
    userinfo,
)
from tests.spec import test_threats_e as threats
from tests.verify.issuing import dumps, signed

from doorward_verify import access_token, jwt
from doorward_verify.errors import DoorwardError

signing_key = threats.signing_key
ALGORITHMS = ["RS256", "ES256"]


@pytest.fixture
def user(ada):
    return ada


@pytest.fixture
def client(doorward):
    return an_app(doorward)


# What it says (§2)


def test_it_says_exactly_this(doorward, browser, client, ada):
    claims = identity(doorward, identified(browser, client), client)
    at = {name: claims.pop(name) for name in ("iat", "exp", "auth_time", "at_hash", "sid")}
    assert claims == {
        "iss": doorward.issuer, "sub": ada["id"], "aud": client["client_id"], "nonce": NONCE, "acr": "1",
        "amr": ["pwd"],
    }  # fmt: skip
    assert abs(at["iat"] - time.time()) < 60
    assert 0 < at["exp"] - at["iat"] <= 3600
    assert at["auth_time"] <= at["iat"]
    sessions = doorward.v1("GET", f"/sessions?user={ada['id']}").json()["items"]
    assert (at["sid"], at["auth_time"]) in [(one["id"], one["auth_time"]) for one in sessions if not one["ended_at"]]


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("app", [an_app, a_public_app])
def test_it_is_signed_by_the_algorithm_that_the_client_registered(doorward, browser, ada, algorithm, app):
    """§3.1.3.7."""
    client = app(doorward, id_token_signed_response_alg=algorithm)
    assert identity(doorward, identified(browser, client), client, algorithm)["sub"] == ada["id"]


def test_a_changed_algorithm_holds_from_the_next_token_on(doorward, browser, client):
    first = identified(browser, client)
    doorward.v1("PATCH", f"/clients/{client['client_id']}", {"id_token_signed_response_alg": "ES256"})
    assert identity(doorward, identified(browser, client), client, "ES256")
    assert read(doorward, first["id_token"], "RS256")


@pytest.mark.parametrize("token_format", ["jwt", "opaque"])
def test_it_is_bound_to_the_access_token_whatever_its_format(doorward, browser, token_format):
    """§3.1.3.6."""
    api = doorward.an_api(token_format=token_format)["identifier"]
    client = an_app(doorward, api=api)
    tokens = identified(browser, client, scope="openid invoices:read")
    assert (tokens["access_token"].count(".") == 2) is (token_format == "jwt")
    assert identity(doorward, tokens, client)


def test_only_the_scope_openid_asks_for_it(doorward, browser, client):
    """§3.1.2.1: without it the request is one of plain OAuth."""
    for scope in ("invoices:read", "profile email", "offline_access invoices:read"):
        assert "id_token" not in identified(browser, client, scope=scope)


@pytest.mark.parametrize("nonce", ["n", "  ", "é \U0001f600", '"\\/', "n" * 2048, "%20+&="])
def test_the_nonce_comes_back_as_it_was(doorward, browser, client, nonce):
    assert identity(doorward, identified(browser, client, nonce=nonce), client, nonce=nonce)


def test_a_longer_one_is_refused_and_never_cut(browser, client):
    assert authorize(browser, client, nonce="n" * 2049).told["error"] == "invalid_request"


def test_each_code_has_its_own_nonce(doorward, browser, client):
    codes = [authorize(browser, client, nonce=nonce).code for nonce in ("first", "second")]
    for code, nonce in zip(codes, ("first", "second"), strict=True):
        assert identity(doorward, redeemed(doorward, client, code), client, nonce=nonce)


def test_the_subject_is_the_same_for_every_client_and_never_anybody_else(doorward, browser, ada):
    """§8: the subject type public; §5.7: never reassigned, whatever he is called."""
    subjects = {
        identity(doorward, identified(browser, one), one)["sub"] for one in (an_app(doorward), an_app(doorward))
    }
    assert subjects == {ada["id"]}
    doorward.v1("PATCH", f"/users/{ada['id']}", {"email": "countess@example.com"})
    client = an_app(doorward)
    assert identity(doorward, identified(browser, client), client)["sub"] == ada["id"]


def test_scopes_fill_userinfo_and_not_the_id_token(doorward, browser, client):
    """§5.4."""
    tokens = identified(browser, client, scope=EVERYTHING)
    assert identity(doorward, tokens, client).keys() == identity(doorward, identified(browser, client), client).keys()
    assert "address" in known(doorward, tokens["access_token"])


def test_each_sign_in_has_a_session_of_its_own(doorward, ada, client):
    claims = [identity(doorward, identified(signed_in(doorward, ada), client), client) for _ in range(2)]
    assert claims[0]["sid"] != claims[1]["sid"]


def test_when_he_signed_in_is_when_he_typed_his_password(tmp_path):
    """§2: auth_time is the sign-in's, not the request's."""
    with deployed(tmp_path) as doorward:
        ada, client = somebody(doorward), an_app(doorward)
        browser = signed_in(doorward, ada)
        signed_in_earlier(doorward, 1000, ada)
        claims = identity(doorward, identified(browser, client), client)
        assert 1000 <= claims["iat"] - claims["auth_time"] < 1100


def test_names_beyond_ascii_are_read_by_others_as_they_are(doorward):
    user = somebody(doorward, name="Žofie \U0001f600 حسن")
    client = an_app(doorward, first_party=True)
    tokens = identified(signed_in(doorward, user), client, claims='{"id_token": {"name": null}}')
    assert identity(doorward, tokens, client)["name"] == "Žofie \U0001f600 حسن"


# Keys (§10.1)


def test_what_an_older_key_signed_is_read_and_taken_back_until_it_is_withdrawn(tmp_path):
    """§10.1.1, T020: a retired key stays published, and a hint of its time is one; a withdrawn key vouches for none."""
    with deployed(tmp_path) as doorward:
        ada, client = somebody(doorward), an_app(doorward)
        browser = signed_in(doorward, ada)
        old = identified(browser, client)["id_token"]
        reply = doorward.v1("POST", "/signing-keys/rotate", {"algorithm": "RS256", "force": True})
        assert reply.status_code == 200, reply.text
        new = identified(browser, client)["id_token"]
        kids = [jwt.parse(text).header["kid"] for text in (old, new)]
        assert kids[0] != kids[1]
        assert read(doorward, old)["sub"] == read(doorward, new)["sub"]
        hinted = {"prompt": "none", "id_token_hint": old}
        assert authorize(browser, client, **hinted).code
        revoked = doorward.v1("POST", "/revocations", {"signing_key": kids[0]})
        assert revoked.status_code == 200, revoked.text
        assert kids[0] not in {key.kid for key in keys(doorward).keys}
        assert authorize(browser, client, **hinted).told["error"] == "invalid_request"


def test_both_algorithms_are_signed_with_side_by_side(doorward):
    active = [one for one in doorward.v1("GET", "/signing-keys").json()["items"] if one["state"] == "active"]
    assert sorted(one["algorithm"] for one in active if one["purpose"] == "token") == ["ES256", "RS256"]


# What it is not (T075, T076)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_t076_an_id_token_opens_no_door(doorward, browser, algorithm):
    """Neither to its client's tokens nor to anything else."""
    api = doorward.an_api()
    client = an_app(doorward, api=api["identifier"], id_token_signed_response_alg=algorithm)
    tokens = identified(browser, client, scope="openid invoices:read")
    text = tokens["id_token"]
    assert threats.refused_everywhere(doorward, client, doorward.a_verifier(api=api["identifier"]), text)
    assert userinfo(doorward, text).status_code == 401
    assert refresh(doorward, client, text).json()["error"] == "invalid_grant"
    assert doorward.post("token", {**client, "client_secret": text}, grant_type="client_credentials").status_code == 401
    assert userinfo(doorward, tokens["access_token"]).status_code == 200


TYPES = ["at+jwt", "JWT", "jwt", "logout+jwt", "statuslist+jwt", "feed+jwt", "token-introspection+jwt", None]


@pytest.fixture(scope="module")
def issued(on_sqlite):
    """The client, its browser, and the claims of an access token and of an ID token."""
    client, browser = an_app(on_sqlite), signed_in(on_sqlite, somebody(on_sqlite))
    tokens = identified(browser, client, scope="openid invoices:read")
    return client, browser, {name: jwt.parse(tokens[name]).claims for name in ("access_token", "id_token")}


@pytest.mark.parametrize("claims", ["access_token", "id_token"])
@pytest.mark.parametrize("typ", TYPES)
def test_t076_only_the_diagonal_passes(on_sqlite, signing_key, issued, typ, claims):
    """Whatever our own key signed: as an access token only what is one, and as a hint only what is an ID token."""
    client, browser, of = issued
    head = {"alg": "ES256", "kid": signing_key.kid, **({"typ": typ} if typ else {})}
    text = signed(signing_key, dumps(head), dumps(of[claims]))
    is_one = (typ, claims) == ("at+jwt", "access_token")
    assert on_sqlite.introspect(client, text)["active"] is is_one
    assert (userinfo(on_sqlite, text).status_code == 200) is is_one
    assert passes_a_verifier(on_sqlite, text, of[claims]["aud"]) is is_one
    told = sent_back(browser.get(address_of(asking(client, scope="openid", prompt="none", id_token_hint=text))))
    assert ("code" in told) is ((typ, claims) == ("JWT", "id_token"))


def passes_a_verifier(doorward, text, audience):
    published = jwt.keys_from_jwks(doorward.http.get("/.well-known/jwks.json").json())
    try:
        return bool(access_token.verify(text, published, issuer=doorward.issuer, audience=audience, now=time.time()))
    except DoorwardError:
        return False


@pytest.mark.sqlite
def test_law_5_no_id_token_is_kept_anywhere(tmp_path):
    with deployed(tmp_path) as doorward:
        browser, client = signed_in(doorward, somebody(doorward)), an_app(doorward)
        tokens = identified(browser, client)
        assert refresh(doorward, client, tokens["refresh_token"]).status_code == 200
        assert doorward.sql("SELECT seq FROM journal")
    kept = b"".join(path.read_bytes() for path in (tmp_path / "data").rglob("*") if path.is_file())
    for part in tokens["id_token"].split("."):
        assert part.encode() not in kept or part == tokens["access_token"].partition(".")[0]
