"""What the server publishes of itself: RFC 8414 §2, §3 and §3.3, and its keys, RFC 7517 §4 and §5."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest

METADATA = "/.well-known/oauth-authorization-server"
JWKS = "/.well-known/jwks.json"
PRIVATE = {"d", "p", "q", "dp", "dq", "qi", "oth", "k"}  # RFC 7518 §6: the members of private keys


@pytest.fixture
def metadata(doorward):
    reply = doorward.http.get(METADATA)
    assert reply.status_code == 200
    return reply.json()


def test_the_issuer_is_the_one_that_was_configured(doorward, metadata):
    """§3.3: it MUST be identical to the issuer identifier that the URL was made from."""
    assert metadata["issuer"] == doorward.issuer


def test_every_required_member_is_there(metadata):
    assert {"issuer", "token_endpoint", "jwks_uri", "response_types_supported"} <= metadata.keys()


def test_no_member_is_empty_text_or_null(metadata):
    """§3.2: Claims with zero elements MUST be omitted; the required list of response types is the exception."""
    empty = {name for name, value in metadata.items() if value in (None, "", [], {})}
    assert empty <= {"response_types_supported"}


def test_every_endpoint_that_is_named_answers(doorward, metadata):
    endpoints = {name: url for name, url in metadata.items() if name.endswith(("_endpoint", "_uri"))}
    assert {"token_endpoint", "introspection_endpoint", "revocation_endpoint", "jwks_uri"} <= endpoints.keys()
    for name, url in endpoints.items():
        assert url.startswith(doorward.issuer + "/")
        # Without a credential or a parameter, and by GET: open, closed, or of another method, but there.
        assert doorward.http.get(urlsplit(url).path).status_code in (200, 303, 400, 401, 405), name


def test_every_grant_type_and_method_that_is_named_works(doorward, metadata):
    client = doorward.a_client()
    public = doorward.a_client(
        token_endpoint_auth_method="none", grant_types=["authorization_code"], redirect_uris=["http://127.0.0.1/back"]
    )
    assert metadata["grant_types_supported"] == ["client_credentials", "authorization_code", "refresh_token"]
    in_body = {"client_id": client["client_id"], "client_secret": client["client_secret"]}
    callers = {
        "client_secret_basic": (client, {}),
        "client_secret_post": (None, in_body),
        "none": (None, {"client_id": public["client_id"]}),
    }
    for endpoint in ("token", "introspection", "revocation"):
        methods = metadata[f"{endpoint}_endpoint_auth_methods_supported"]
        assert set(methods) == callers.keys() - ({"none"} if endpoint == "introspection" else set())
        path = metadata[f"{endpoint}_endpoint"].rpartition("/")[2]
        for method in methods:
            caller, form = callers[method]
            reply = doorward.post(path, caller, grant_type="client_credentials", token="x", **form)
            # Who can prove nothing gets no token of its own, but is known.
            known = reply.json().get("error") == "unauthorized_client" if method == "none" else False
            assert reply.status_code == 200 or (known and endpoint == "token")


@pytest.mark.parametrize("path", [METADATA, JWKS])
class TestBothDocuments:
    def test_they_are_json_for_everyone_and_cached_for_a_while(self, doorward, path):
        reply = doorward.http.get(path)
        assert reply.headers["content-type"] == "application/json"
        assert reply.headers["access-control-allow-origin"] == "*"
        directives = dict(part.strip().partition("=")[::2] for part in reply.headers["cache-control"].split(","))
        assert 0 < int(directives["max-age"]) <= 300

    def test_they_are_not_sent_again_while_nothing_changed(self, doorward, path):
        """RFC 9110 §13.1.2: If-None-Match is compared weakly, and may be a list or a star."""
        first = doorward.http.get(path)
        tag = first.headers["etag"]
        for value in (tag, f'"other", {tag}', f"W/{tag}", "*"):
            again = doorward.http.get(path, headers={"if-none-match": value})
            assert (again.status_code, again.content) == (304, b""), value
            assert again.headers["etag"] == tag
            assert again.headers["cache-control"] == first.headers["cache-control"]
        assert doorward.http.get(path, headers={"if-none-match": '"other"'}).status_code == 200

    def test_head_has_the_same_fields_and_no_content(self, doorward, path):
        get, head = doorward.http.get(path), doorward.http.head(path)
        assert (head.status_code, head.content) == (200, b"")
        for name in ("etag", "content-type", "content-length", "cache-control"):
            assert head.headers[name] == get.headers[name]

    @pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
    def test_nothing_else_is_allowed(self, doorward, path, method):
        reply = doorward.http.request(method, path)
        assert (reply.status_code, set(reply.headers["allow"].split(", "))) == (405, {"GET", "HEAD"})

    def test_they_stand_at_exactly_this_path(self, doorward, path):
        for other in (path + "/", path.upper(), "/" + path, path + "/x"):
            assert doorward.http.get(f"{doorward.issuer}{other}").status_code == 404


def test_the_keys_are_public_signature_keys(doorward):
    keys = doorward.http.get(JWKS).json()["keys"]
    assert {key["alg"] for key in keys} == {"ES256", "RS256"}
    assert len({key["kid"] for key in keys}) == len(keys)
    for key in keys:
        assert key["use"] == "sig"
        assert not PRIVATE & key.keys()
        assert (key["kty"], key.get("crv")) in {("EC", "P-256"), ("RSA", None)}


def test_nothing_internal_is_told(doorward, metadata):
    listed = doorward.v1("GET", "/signing-keys").json()["items"]
    assert listed
    for text in (doorward.http.get(JWKS).text, str(listed)):
        assert "private" not in text
