"""Token Status List (draft-ietf-oauth-status-list): what a standard verifier reads, and what flips its bit (T107)."""

from __future__ import annotations

import base64
import json
import re
import zlib
from urllib.parse import urlsplit

import pytest
from joserfc import jwt as outside
from joserfc.jwk import KeySet
from tests.browsing import a_user, an_app, refresh, signed_in, tokens
from tests.deployment import API, deployed
from tests.verify.waiting import until

from doorward_verify import access_token
from doorward_verify.errors import InvalidToken
from doorward_verify.jwt import keys_from_jwks, parse

ALGORITHMS = ["ES256", "RS256"]


def listed(doorward, **fields):
    """A client of an api that wants status lists."""
    return doorward.a_client(api=doorward.an_api(status_list=True)["identifier"], **fields)


def status_of(token):
    return parse(token).claims["status"]["status_list"]


def fetch(doorward, token_or_uri, **headers):
    uri = token_or_uri if "://" in token_or_uri else status_of(token_or_uri)["uri"]
    assert uri.startswith(doorward.issuer + "/statuslists/")
    fields = {name.replace("_", "-"): value for name, value in headers.items()}
    return doorward.http.get(urlsplit(uri).path, headers={"accept-encoding": "identity", **fields})


class Reader:
    """A verifier of somebody else's: RFC 7519 by joserfc, and §8.3 of the draft step by step."""

    def __init__(self, doorward):
        self.doorward = doorward
        self.keys = KeySet.import_key_set(doorward.http.get("/.well-known/jwks.json").json())

    def bits(self, uri):
        reply = fetch(self.doorward, uri, accept="application/statuslist+jwt")
        assert (reply.status_code, reply.headers["content-type"]) == (200, "application/statuslist+jwt")
        token = outside.decode(reply.text, self.keys, algorithms=ALGORITHMS)
        assert token.header["typ"] == "statuslist+jwt"
        outside.JWTClaimsRegistry(sub={"essential": True, "value": uri}, iat={"essential": True}).validate(token.claims)
        found = token.claims["status_list"]
        assert found["bits"] == 1
        return zlib.decompress(base64.urlsafe_b64decode(found["lst"] + "=" * (-len(found["lst"]) % 4)))

    def status(self, text):
        claims = outside.decode(text, self.keys, algorithms=ALGORITHMS).claims
        place = claims["status"]["status_list"]
        bits = self.bits(place["uri"])
        assert place["idx"] < 8 * len(bits)
        return (bits[place["idx"] // 8] >> (place["idx"] % 8)) & 1


def becomes(reader, token, status):
    """Whoever asks again sees it soon; a list is never built twice in half a second."""
    until(lambda: reader.status(token) == status)


# What it looks like -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_token_names_its_bit_and_a_good_one_has_a_zero(doorward, algorithm):
    api = doorward.an_api(status_list=True, signing_algorithm=algorithm)
    token = doorward.token(doorward.a_client(api=api["identifier"]))
    place = status_of(token)
    assert place.keys() == {"idx", "uri"}
    assert isinstance(place["idx"], int)
    assert re.fullmatch(re.escape(doorward.issuer) + r"/statuslists/[1-9][0-9]*", place["uri"])
    assert Reader(doorward).status(token) == 0


def test_an_api_that_did_not_ask_has_tokens_without_status(doorward):
    assert "status" not in parse(doorward.token(doorward.a_client())).claims


def test_the_list_says_of_itself_what_the_draft_wants(doorward):
    """§5.1: sub, iat, ttl, exp and status_list, and the media type without its prefix as `typ`."""
    token = doorward.token(listed(doorward))
    found = parse(fetch(doorward, token).text)
    assert found.header.keys() == {"typ", "alg", "kid"}
    assert found.header["typ"] == "statuslist+jwt"
    claims = found.claims
    assert claims.keys() == {"iss", "sub", "iat", "exp", "ttl", "status_list"}
    assert (claims["iss"], claims["sub"]) == (doorward.issuer, status_of(token)["uri"])
    assert claims["iat"] + claims["ttl"] < claims["exp"]
    assert claims["status_list"].keys() == {"bits", "lst"}


def test_no_two_tokens_share_a_bit_and_neighbours_say_nothing_of_their_order(doorward):
    client = listed(doorward)
    tokens = doorward.at_once(40, lambda _: doorward.token(client))
    places = [(status_of(token)["uri"], status_of(token)["idx"]) for token in tokens]
    assert len(set(places)) == 40
    in_order = [status_of(doorward.token(client))["idx"] for _ in range(20)]
    assert in_order != sorted(in_order)
    assert in_order != sorted(in_order, reverse=True)


def test_lists_are_shared_by_all_apis_so_that_a_token_hides_among_many(doorward):
    uris = {status_of(doorward.token(listed(doorward)))["uri"] for _ in range(3)}
    # Of two when an hour ends meanwhile.
    assert len(uris) <= 2


def test_a_status_list_is_no_access_token(doorward):
    text = fetch(doorward, doorward.token(listed(doorward))).text
    keys = keys_from_jwks(doorward.http.get("/.well-known/jwks.json").json())
    with pytest.raises(InvalidToken):
        access_token.verify(text, keys, issuer=doorward.issuer, audience=API, now=parse(text).claims["iat"])
    assert doorward.introspect(doorward.a_verifier(), text) == {"active": False}


# What flips a bit ---------------------------------------------------------------------------------------------


def end_the_token(doorward, client, token):
    return doorward.post("revoke", client, token=token)


def end_the_grant(doorward, client, token):
    return doorward.v1("POST", "/revocations", {"grant": client["apis"][0]["grant_id"]})


def disable_the_client(doorward, client, token):
    return doorward.v1("PATCH", f"/clients/{client['client_id']}", {"state": "disabled"})


def delete_the_client(doorward, client, token):
    return doorward.v1("DELETE", f"/clients/{client['client_id']}")


def suspend_the_account(doorward, client, token):
    return doorward.v1("POST", f"/accounts/{client['account']}/suspend")


@pytest.mark.parametrize(
    "end", [end_the_token, end_the_grant, disable_the_client, delete_the_client, suspend_the_account]
)
def test_whatever_ends_a_token_sets_its_bit_and_no_other(doorward, end):
    reader, client, other = Reader(doorward), listed(doorward), listed(doorward)
    token, untouched = doorward.token(client), doorward.token(other)
    assert (reader.status(token), reader.status(untouched)) == (0, 0)
    before = sum(map(int.bit_count, reader.bits(status_of(token)["uri"])))
    assert end(doorward, client, token).status_code in (200, 204)
    becomes(reader, token, 1)
    assert reader.status(untouched) == 0
    assert sum(map(int.bit_count, reader.bits(status_of(token)["uri"]))) == before + 1


def test_one_token_is_ended_and_its_siblings_are_not(doorward):
    reader, client = Reader(doorward), listed(doorward)
    first, second = doorward.token(client), doorward.token(client)
    doorward.post("revoke", client, token=first)
    becomes(reader, first, 1)
    assert reader.status(second) == 0


def test_what_was_issued_before_a_suspension_stays_dead_and_what_comes_after_it_lives(doorward):
    reader, client = Reader(doorward), listed(doorward)
    account, old = client["account"], doorward.token(client)
    assert doorward.v1("POST", f"/accounts/{account}/suspend").status_code == 200
    assert doorward.v1("POST", f"/accounts/{account}/resume").status_code == 200
    becomes(reader, old, 1)
    assert reader.status(doorward.token(client)) == 0
    assert reader.status(old) == 1


def test_the_tokens_of_a_stolen_signing_key_are_ended(tmp_path):
    with deployed(tmp_path) as doorward:
        client = listed(doorward)
        token = doorward.token(client)
        reader = Reader(doorward)
        assert reader.status(token) == 0
        reply = doorward.v1("POST", "/revocations", {"signing_key": parse(token).header["kid"]})
        assert reply.status_code == 200, reply.text
        place = status_of(token)
        # Signed by a key that still stands.
        until(lambda: (Reader(doorward).bits(place["uri"])[place["idx"] // 8] >> (place["idx"] % 8)) & 1)
        assert parse(fetch(doorward, token).text).header["kid"] != parse(token).header["kid"]


# Users' tokens ------------------------------------------------------------------------------------------------


def asking_users(doorward, **fields):
    return an_app(doorward, api=doorward.an_api(status_list=True)["identifier"], **fields)


def test_a_token_that_a_user_allowed_has_a_bit_and_so_has_each_that_is_refreshed(doorward, browser):
    reader, client = Reader(doorward), asking_users(doorward)
    first = tokens(browser, client)
    second = refresh(doorward, client, first["refresh_token"]).json()
    retried = refresh(doorward, client, first["refresh_token"]).json()
    found = [status_of(got["access_token"]) for got in (first, second, retried)]
    assert len({(place["uri"], place["idx"]) for place in found}) == 3
    assert [reader.status(got["access_token"]) for got in (first, second, retried)] == [0, 0, 0]


def test_of_a_client_of_two_apis_it_is_the_api_of_the_grant_that_decides(doorward, browser):
    plain, wants = doorward.an_api()["identifier"], doorward.an_api(status_list=True)["identifier"]
    client = an_app(doorward, api=plain)
    doorward.v1("PATCH", f"/clients/{client['client_id']}", {"api": wants, "scope": "invoices:read"})
    assert "status" not in parse(tokens(browser, client, resource=plain)["access_token"]).claims
    assert Reader(doorward).status(tokens(browser, client, resource=wants)["access_token"]) == 0


def of_the_pair(doorward, client, got, user):
    return doorward.post("revoke", client, token=got["refresh_token"])


def of_the_grant(doorward, client, got, user):
    return doorward.v1("POST", "/revocations", {"grant": parse(got["access_token"]).claims["grant_id"]})


def of_the_session(doorward, client, got, user):
    return doorward.v1("POST", f"/sessions/{parse(got['access_token']).claims['sid']}/revoke")


def of_the_user(doorward, client, got, user):
    return doorward.v1("POST", f"/users/{user['id']}/disable")


def of_his_account(doorward, client, got, user):
    return doorward.v1("POST", f"/accounts/{parse(got['access_token']).claims['account']}/suspend")


def of_his_membership(doorward, client, got, user):
    (one,) = doorward.v1("GET", f"/memberships?user={user['id']}").json()["items"]
    return doorward.v1("DELETE", f"/memberships/{one['id']}")


def by_a_replay(doorward, client, got, user):
    second = refresh(doorward, client, got["refresh_token"]).json()
    third = refresh(doorward, client, second["refresh_token"])
    assert refresh(doorward, client, got["refresh_token"]).json()["reason"] == "refresh_token_replayed"
    return third


@pytest.mark.parametrize(
    "end", [of_the_pair, of_the_grant, of_the_session, of_the_user, of_his_account, of_his_membership, by_a_replay]
)
def test_the_end_of_whatever_it_hangs_on_sets_its_bit_and_no_other(doorward, browser, end):
    user, reader, client = a_user(doorward), Reader(doorward), asking_users(doorward)
    account = doorward.an_account()["id"]
    doorward.create("/memberships", user=user["id"], account=account, role="owner")
    got, other = tokens(signed_in(doorward, user), client), tokens(browser, client)
    assert reader.status(got["access_token"]) == 0
    assert end(doorward, client, got, user).status_code in (200, 204)
    becomes(reader, got["access_token"], 1)
    assert reader.status(other["access_token"]) == 0


# How it is served ---------------------------------------------------------------------------------------------


def test_it_is_public_and_may_be_kept_for_no_longer_than_its_time(doorward):
    reply = fetch(doorward, doorward.token(listed(doorward)))
    directives = dict(part.strip().partition("=")[::2] for part in reply.headers["cache-control"].split(","))
    claims = parse(reply.text).claims
    assert "public" in directives
    assert int(directives["max-age"]) <= claims["ttl"] == 60
    assert reply.headers["access-control-allow-origin"] == "*"


def test_it_is_built_once_for_all_who_ask_while_nothing_was_ended(doorward):
    token = doorward.token(listed(doorward))
    texts = {reply.text for reply in doorward.at_once(8, lambda _: fetch(doorward, token))}
    texts |= {fetch(doorward, token).text for _ in range(3)}
    assert len(texts) == 1


def test_it_is_not_sent_again_to_who_has_it(doorward):
    token = doorward.token(listed(doorward))
    first = fetch(doorward, token)
    again = fetch(doorward, token, if_none_match=first.headers["etag"])
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["etag"] == first.headers["etag"]


def test_it_is_compressed_for_those_who_take_that(doorward):
    token = doorward.token(listed(doorward))
    plain = fetch(doorward, token)
    assert (plain.headers["vary"], "content-encoding" in plain.headers) == ("accept-encoding", False)
    for accepted in ("gzip", "br;q=1.0, gzip;q=0.8", "GZIP"):
        packed = fetch(doorward, token, accept_encoding=accepted)
        assert packed.headers["content-encoding"] == "gzip"
        assert (packed.headers["vary"], packed.text) == ("accept-encoding", plain.text)
        assert packed.headers["etag"] != plain.headers["etag"]
    for refused in ("gzip;q=0", "gzip; q=0.0", "br", ""):
        assert "content-encoding" not in fetch(doorward, token, accept_encoding=refused).headers


def test_head_has_the_same_fields_and_no_content(doorward):
    path = urlsplit(status_of(doorward.token(listed(doorward)))["uri"]).path
    get, head = (doorward.http.request(method, path) for method in ("GET", "HEAD"))
    assert (head.status_code, head.content) == (200, b"")
    assert {name: head.headers[name] for name in ("etag", "content-type", "content-length")} == {
        name: get.headers[name] for name in ("etag", "content-type", "content-length")
    }


@pytest.mark.parametrize("name", ["0", "01", "9" * 18, "9" * 19, "-1", "x", "1/2", "", "%31%00"])
def test_an_unknown_list_is_not_found(doorward, name):
    reply = doorward.http.get(f"/statuslists/{name}")
    assert (reply.status_code, reply.json()["error"]) == (404, "not_found")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
@pytest.mark.parametrize("path", ["/statuslists", "/statuslists/1"])
def test_nothing_but_reading_is_allowed(doorward, method, path):
    reply = doorward.http.request(method, path)
    assert (reply.status_code, reply.headers["allow"]) == (405, "GET, HEAD")


def test_a_time_in_the_past_is_refused_rather_than_answered_with_now(doorward):
    """§8.4: a requested time that is not supported is 406."""
    path = urlsplit(status_of(doorward.token(listed(doorward)))["uri"]).path
    reply = doorward.http.get(path, params={"time": "1686925000"})
    assert (reply.status_code, reply.json()["reason"]) == (406, "status_list_time")


def test_every_list_is_found_by_the_metadata(doorward):
    uri = status_of(doorward.token(listed(doorward)))["uri"]
    metadata = doorward.http.get("/.well-known/oauth-authorization-server").json()
    assert metadata["status_list_aggregation_endpoint"] == f"{doorward.issuer}/statuslists"
    reply = doorward.http.get("/statuslists")
    assert reply.headers["content-type"] == "application/json"
    assert uri in reply.json()["status_lists"]
    for listed_uri in reply.json()["status_lists"]:
        assert fetch(doorward, listed_uri).status_code == 200


def test_a_list_whose_tokens_are_all_dead_is_gone(tmp_path):
    with deployed(tmp_path) as doorward:
        uri = status_of(doorward.token(listed(doorward)))["uri"]
        doorward.sql("UPDATE status_lists SET expires_at = expires_at - 10000")
        assert fetch(doorward, uri).status_code == 404
        assert doorward.http.get("/statuslists").json() == {"status_lists": []}


# The option ---------------------------------------------------------------------------------------------------


def test_the_option_is_of_apis_with_jwts(doorward):
    api = doorward.an_api()
    assert api["status_list"] is False
    changed = doorward.v1("PATCH", f"/apis/{api['id']}", {"status_list": True})
    assert (changed.status_code, changed.json()["status_list"]) == (200, True)
    for body in ({"token_format": "opaque"}, {"status_list": "yes"}):
        refused = doorward.v1("PATCH", f"/apis/{api['id']}", body)
        assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "status_list")
    assert doorward.v1("PATCH", f"/apis/{api['id']}", {"status_list": False, "token_format": "opaque"}).is_success


def test_the_option_holds_from_the_next_token_on(doorward):
    api = doorward.an_api()
    client = doorward.a_client(api=api["identifier"])
    assert "status" not in parse(doorward.token(client)).claims
    doorward.v1("PATCH", f"/apis/{api['id']}", {"status_list": True})
    assert Reader(doorward).status(doorward.token(client)) == 0


def test_introspection_tells_the_status_claim_as_the_token_has_it(doorward):
    api = doorward.an_api(status_list=True)
    client, verifier = doorward.a_client(api=api["identifier"]), doorward.a_verifier(api=api["identifier"])
    token = doorward.token(client)
    assert json.dumps(doorward.introspect(verifier, token)["status"]) == json.dumps(parse(token).claims["status"])


def test_of_a_client_of_two_apis_the_tokens_for_the_one_that_asked_have_a_bit(doorward):
    plain, asking = doorward.an_api(), doorward.an_api(status_list=True, token_lifetime=3600)
    client = doorward.a_client(api=plain["identifier"])
    grant = {"api": asking["identifier"], "scope": "invoices:read"}
    assert doorward.v1("PATCH", f"/clients/{client['client_id']}", grant).status_code == 200
    assert Reader(doorward).status(doorward.token(client, resource=asking["identifier"])) == 0
    assert "status" not in parse(doorward.token(client, resource=plain["identifier"])).claims
