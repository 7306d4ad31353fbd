"""Keys that were made elsewhere keep their texts (decision 26): by text, by SHA-256, by bcrypt, row by row."""

from __future__ import annotations

import base64
import hashlib
import secrets
import time

import bcrypt
import pytest
from tests.verify.waiting import until

from doorward_verify import Verifier
from doorward_verify.errors import InvalidToken

DAY = 86_400


def a_text(prefix="sk_prod_"):
    return prefix + secrets.token_urlsafe(30).replace(".", "x")


def sha256(text):
    return hashlib.sha256(text.encode())


def slow(text):
    return bcrypt.hashpw(text.encode(), bcrypt.gensalt(4)).decode()


@pytest.fixture
def api(doorward):
    return doorward.an_api(legacy=True)


@pytest.fixture
def row(doorward, api):
    """A row of this api, for an account that there is."""
    account = doorward.an_account()["id"]
    return lambda **more: {"account": account, "api": api["identifier"], "scope": "invoices:read", **more}


def asking(doorward, path, *rows, key=None, **body):
    headers = {} if key is None else {"idempotency_key": key}
    return doorward.v1("POST", path, {"rows": list(rows), **body}, **headers)


def imported(doorward, *rows, **body):
    reply = asking(doorward, "/keys/import", *rows, **body)
    assert reply.status_code == 201, reply.text
    return reply.json()["results"]


def verify(doorward, text, **body):
    return doorward.v1("POST", "/keys/verify", {"key": text, **body}).json()


class TestHowAKeyIsKnown:
    def test_a_plain_key_keeps_its_text(self, doorward, row):
        text = a_text()
        (result,) = imported(doorward, row(key=text, prefix="sk_prod_", name="nightly", metadata={"plan": "gold"}))
        assert result["outcome"] == "imported"
        checked = verify(doorward, text, scope="invoices:read")
        assert (checked["active"], checked["key_id"]) == (True, result["id"])
        shown = doorward.v1("GET", f"/keys/{result['id']}").json()
        assert (shown["prefix"], shown["name"], shown["metadata"]) == ("sk_prod_", "nightly", {"plan": "gold"})

    @pytest.mark.parametrize(
        "form",
        [lambda d: d.hexdigest(), lambda d: d.hexdigest().upper(), lambda d: base64.b64encode(d.digest()).decode(),
         lambda d: base64.urlsafe_b64encode(d.digest()).decode().rstrip("=")],
        ids=["hex", "upper case", "base64", "base64url"],
    )  # fmt: skip
    def test_a_hash_is_enough(self, on_sqlite, form):
        api, account = on_sqlite.an_api(legacy=True), on_sqlite.an_account()["id"]
        text = a_text()
        given = {"account": account, "api": api["id"], "scope": "invoices:read", "sha256": form(sha256(text))}
        (result,) = imported(on_sqlite, given, entropy=128)
        assert verify(on_sqlite, text)["key_id"] == result["id"]

    def test_a_bcrypt_hash_is_compared_at_first_use_and_known_by_a_mac_from_then_on(self, doorward, row):
        text = a_text("ab12cd34.")
        (result,) = imported(doorward, row(bcrypt=slow(text), prefix="ab12cd34"), entropy=128)
        other = "ab12cd34." + secrets.token_urlsafe(30)
        assert verify(doorward, other) == {**verify(doorward, other), "active": False, "reason": "credential_malformed"}
        assert verify(doorward, text)["key_id"] == result["id"]
        assert rehashes(doorward, result["id"]) == 1
        assert verify(doorward, text)["active"]
        assert rehashes(doorward, result["id"]) == 1

    def test_of_many_who_show_it_first_each_is_answered(self, doorward, row):
        text = a_text("manyfirst.")
        (result,) = imported(doorward, row(bcrypt=slow(text), prefix="manyfirst"), entropy=128)
        answers = doorward.at_once(8, lambda _: verify(doorward, text))
        assert {answer["key_id"] for answer in answers} == {result["id"]}
        assert rehashes(doorward, result["id"]) == 1

    def test_several_hashes_of_one_beginning_are_told_apart(self, on_sqlite):
        api, account = on_sqlite.an_api(legacy=True), on_sqlite.an_account()["id"]
        texts = [a_text("samebegin.ning_") for _ in range(5)]
        given = {"account": account, "api": api["id"], "scope": "invoices:read", "prefix": "samebegin"}
        results = imported(on_sqlite, *({**given, "bcrypt": slow(text)} for text in texts), entropy=128)
        assert [one["outcome"] for one in results] == ["imported"] * 4 + ["refused"]
        assert results[4]["field"] == "prefix"
        assert verify(on_sqlite, texts[2])["key_id"] == results[2]["id"]

    def test_a_hash_is_no_key(self, doorward, row):
        """Whoever reads a table of hashes, ours or theirs, has no credential."""
        text = a_text("no.hash.key_")
        hashed = slow(text)
        imported(doorward, row(bcrypt=hashed, prefix="no.hash."), row(sha256=sha256(a_text()).hexdigest()), entropy=128)
        for shown in (hashed, sha256(text).hexdigest(), f"bcrypt{hashed}"):
            assert not verify(doorward, shown)["active"]

    def test_many_at_once_are_compared_too(self, doorward, row):
        text = a_text("batch.me_")
        (result,) = imported(doorward, row(bcrypt=slow(text), prefix="batch.me"), entropy=128)
        reply = doorward.v1("POST", "/keys/verify/batch", {"keys": [{"key": text}, {"key": "nonsense"}]})
        assert [one["key_id"] for one in reply.json()["results"]] == [result["id"], None]


def rehashes(doorward, key_id):
    entries = doorward.v1("GET", "/audit?limit=200&order=desc").json()["items"]
    return sum(one["type"] == "ApiKeyRehashed" and one["entity_id"] == key_id for one in entries)


class TestWhatARowIsRefusedFor:
    WRONG = (
        ("key", {"key": "short"}),
        ("key", {"key": "password" * 6}),
        ("key", {"key": "abcdefghijklmnopqrstuvwxyz0123456789"}),
        ("key", {"key": "1234567890" * 2}),
        ("key", {"key": "a.b.c" + "x9K" * 8}),
        ("key", {"key": "with a space " + "x9Kq" * 6}),
        ("key", {}),
        ("key", {"key": "k" * 30, "sha256": "0" * 64}),
        ("prefix", {"key": "Zk3v9QwLm2Rt8Xy5Bn7Cd1", "prefix": "other"}),
        ("sha256", {"sha256": "0" * 63}),
        ("sha256", {"sha256": "!" * 43}),
        ("bcrypt", {"bcrypt": "$2x$10$" + "a" * 53, "prefix": "abcd"}),
        ("bcrypt", {"bcrypt": "$2b$15$" + "a" * 53, "prefix": "abcd"}),
        ("prefix", {"bcrypt": "$2b$10$" + "a" * 53}),
        ("expires_at", {"expires_at": 1}),
        ("expires_at", {"expires_at": 4_000_000_000}),
        ("scope", {"scope": "invoices:delete"}),
        ("account", {"account": "nobody-there"}),
        ("account", {"account": "un\u200bsayable"}),
        ("api", {"api": "https://nowhere.example"}),
        ("networks", {"networks": ["10.0.0.1/8"]}),
        ("name", {"name": "two\nlines"}),
    )

    @pytest.mark.parametrize(("field", "wrong"), WRONG, ids=[f"{f}-{n}" for n, (f, _) in enumerate(WRONG)])
    def test_each_row_is_answered_by_itself(self, doorward, row, field, wrong):
        fields = {"key": a_text()} if not {"key", "sha256", "bcrypt"} & wrong.keys() and wrong else {}
        good = a_text()
        results = imported(doorward, row(**{**fields, **wrong}), row(key=good), entropy=128)
        assert [one["outcome"] for one in results] == ["refused", "imported"]
        assert results[0]["field"] == field
        assert results[0]["error"].startswith(("must", "or"))
        assert verify(doorward, good)["active"]

    def test_what_a_hash_hides_must_be_said(self, doorward, row):
        for said in ({}, {"entropy": 95}):
            (result,) = imported(doorward, row(sha256=sha256(a_text()).hexdigest()), **said)
            assert (result["outcome"], result["field"]) == ("refused", "entropy")

    def test_a_key_of_ours_is_none_of_theirs(self, doorward, row):
        ours = doorward.a_key()["key"]
        broken = ours[:-1] + ("0" if ours[-1] != "0" else "1")
        results = imported(doorward, row(key=ours), row(key=broken))
        assert [one["field"] for one in results] == ["key", "key"]

    def test_an_api_takes_them_only_where_it_says_so(self, doorward):
        api, account = doorward.an_api(), doorward.an_account()["id"]
        given = {"account": account, "api": api["id"], "scope": "invoices:read", "key": a_text()}
        (result,) = imported(doorward, given)
        assert (result["outcome"], result["field"]) == ("refused", "api")

    def test_what_is_no_list_of_rows_is_refused_as_a_whole(self, doorward, row):
        for body in ({"rows": []}, {"rows": [row(key="x")] * 501}, {"rows": [row(surplus=1)]}, {"rows": "many"}, {}):
            assert doorward.v1("POST", "/keys/import", body).status_code in (413, 422)

    def test_it_needs_the_scopes_for_what_it_makes(self, doorward, row):
        keys = doorward.an_admin_key("keys:write")
        body = {"rows": [row(key=a_text())]}
        assert doorward.v1("POST", "/keys/import", body, key=doorward.an_admin_key("keys:read")).status_code == 403
        assert doorward.v1("POST", "/keys/import", {**body, "create_accounts": True}, key=keys).status_code == 403
        assert doorward.v1("POST", "/keys/import", body, key=keys).status_code == 201


class TestEachKeyOnce:
    def test_a_key_that_there_is_already_is_reported_and_not_doubled(self, doorward, row):
        text, hashed = a_text(), slow(a_text("once.only_"))
        rows = (row(key=text), row(sha256=sha256(text).hexdigest()), row(bcrypt=hashed, prefix="once.only"))
        first = imported(doorward, *rows, entropy=128)
        assert [one["outcome"] for one in first] == ["imported", "duplicate", "imported"]
        again = imported(doorward, *rows, entropy=128)
        assert [one["outcome"] for one in again] == ["duplicate"] * 3
        assert [one["id"] for one in again] == [first[0]["id"], first[0]["id"], first[2]["id"]]

    def test_of_many_who_import_it_at_once_one_does(self, doorward, row):
        given = row(key=a_text())
        outcomes = [one["outcome"] for (one,) in doorward.at_once(6, lambda _: imported(doorward, given))]
        assert sorted(outcomes) == ["duplicate"] * 5 + ["imported"]

    def test_a_batch_is_answered_alike_under_its_idempotency_key(self, doorward, row):
        given, key = row(key=a_text()), secrets.token_hex(8)
        first, second = (asking(doorward, "/keys/import", given, key=key) for _ in range(2))
        assert first.json() == second.json()
        assert second.headers["idempotent-replay"] == "true"
        other = asking(doorward, "/keys/import", row(key=a_text()), key=key)
        assert (other.status_code, other.json()["reason"]) == (422, "idempotency_mismatch")

    def test_a_check_says_the_same_and_changes_nothing(self, doorward, row):
        text = a_text()
        rows = (row(key=text), row(key=text), row(key="short"))
        reply = asking(doorward, "/keys/import/check", *rows)
        assert reply.status_code == 200
        assert [one["outcome"] for one in reply.json()["results"]] == ["fit", "duplicate", "refused"]
        assert {one["id"] for one in reply.json()["results"]} == {None}
        assert not verify(doorward, text)["active"]


class TestAccounts:
    def test_they_are_made_where_that_was_said_and_once(self, doorward, row):
        name = f"Mill & Sons {secrets.token_hex(4)}"
        rows = [row(account=name, key=a_text()) for _ in range(2)]
        assert {one["field"] for one in imported(doorward, *rows)} == {"account"}
        first, second = imported(doorward, *rows, create_accounts=True)
        (third,) = imported(doorward, row(account=name, key=a_text()), create_accounts=True)
        accounts = {doorward.v1("GET", f"/keys/{one['id']}").json()["account"] for one in (first, second, third)}
        (account,) = accounts
        assert doorward.v1("GET", f"/accounts/{account}").json()["name"] == name

    def test_a_row_that_is_refused_makes_none(self, doorward, row):
        (result,) = imported(doorward, row(account="never-made", key="short"), create_accounts=True)
        assert result["field"] == "key"
        assert doorward.v1("GET", "/accounts/never-made").status_code == 404


class TestAgain:
    def test_a_bcrypt_hash_is_imported_once_also_after_its_key_was_used(self, doorward, row):
        text = a_text()[:40]
        one = row(bcrypt=slow(text), prefix=text[:16])
        (first,) = imported(doorward, one, entropy=128)
        assert verify(doorward, text)["active"]
        (again,) = imported(doorward, one, entropy=128)
        assert (again["outcome"], again["id"]) == ("duplicate", first["id"])


class TestHowItLives:
    def test_it_ends_by_itself(self, doorward, row):
        soon = int(time.time()) + 2 * DAY
        results = imported(doorward, row(key=a_text()), row(key=a_text(), expires_at=soon))
        ends = [doorward.v1("GET", f"/keys/{one['id']}").json()["expires_at"] for one in results]
        assert abs(ends[0] - time.time() - 90 * DAY) < DAY
        assert ends[1] == soon

    def test_it_ends_within_what_its_api_lets_keys_live(self, doorward, row):
        api, late = doorward.an_api(legacy=True, key_lifetime_limit=DAY), int(time.time()) + 2 * DAY
        ruled = row(api=api["identifier"])
        kept, refused = imported(doorward, {**ruled, "key": a_text()}, {**ruled, "key": a_text(), "expires_at": late})
        shown = doorward.v1("GET", f"/keys/{kept['id']}").json()
        assert shown["expires_at"] == shown["created_at"] + DAY
        assert (refused["outcome"], refused["field"]) == ("refused", "expires_at")

    def test_it_is_revoked_like_any_other(self, doorward, row):
        text = a_text()
        (result,) = imported(doorward, row(key=text))
        doorward.v1("POST", f"/keys/{result['id']}/revoke")
        assert verify(doorward, text)["reason"] == "credential_revoked"

    def test_its_successor_is_one_of_ours(self, doorward, row):
        text = a_text()
        (result,) = imported(doorward, row(key=text))
        rotated = doorward.v1("POST", f"/keys/{result['id']}/rotate", {"overlap": 0, "starts": "now"}).json()
        assert rotated["key"].startswith("dw_live_")
        assert verify(doorward, rotated["key"])["key_id"] == result["id"]
        assert not verify(doorward, text)["active"]

    def test_whoever_found_it_burns_it(self, doorward, row):
        text = a_text()
        (result,) = imported(doorward, row(key=text))
        assert doorward.http.post("/leaks/burn", json={"token": text}).status_code == 202
        assert verify(doorward, text)["reason"] == "credential_revoked"
        assert verify(doorward, text)["key_id"] == result["id"]

    def test_an_api_that_closes_refuses_all_of_them_and_none_of_ours(self, doorward, api, row):
        text, ours = a_text(), doorward.a_key(api=api["identifier"])["key"]
        imported(doorward, row(key=text))
        assert verify(doorward, text)["active"]
        doorward.v1("PATCH", f"/apis/{api['id']}", {"legacy": False})
        assert verify(doorward, text)["reason"] == "legacy_closed"
        assert verify(doorward, ours)["active"]
        doorward.v1("PATCH", f"/apis/{api['id']}", {"legacy": True})
        assert verify(doorward, text)["active"]

    @pytest.mark.parametrize("change", [str.swapcase, lambda t: t[:-1], lambda t: t + "x", lambda t: " " + t])
    def test_what_only_looks_like_it_fails(self, doorward, row, change):
        text = a_text()
        imported(doorward, row(key=text))
        assert not verify(doorward, change(text))["active"]


class TestIntrospection:
    def test_a_verifier_asks_by_text_or_by_digest(self, doorward, api, row):
        text, verifier = a_text(), doorward.a_verifier(api=api["identifier"])
        (result,) = imported(doorward, row(key=text))
        assert doorward.introspect(verifier, text)["key_id"] == result["id"]
        digest = base64.urlsafe_b64encode(sha256(text).digest()).decode().rstrip("=")
        assert doorward.post("introspect", verifier, token_sha256=digest).json()["key_id"] == result["id"]
        stranger = doorward.a_verifier()
        assert doorward.introspect(stranger, text) == {"active": False}

    def test_of_a_bcrypt_hash_only_the_text_proves_anything(self, doorward, api, row):
        text, verifier = a_text("intro.spect_"), doorward.a_verifier(api=api["identifier"])
        (result,) = imported(doorward, row(bcrypt=slow(text), prefix="intro.spect"), entropy=128)
        digest = base64.urlsafe_b64encode(sha256(text).digest()).decode().rstrip("=")
        assert doorward.post("introspect", verifier, token_sha256=digest).json() == {"active": False}
        assert doorward.introspect(verifier, text)["key_id"] == result["id"]
        assert doorward.post("introspect", verifier, token_sha256=digest).json()["key_id"] == result["id"]

    def test_a_stranger_has_nothing_compared(self, doorward, api, row):
        text = a_text("strange.r_")
        (result,) = imported(doorward, row(bcrypt=slow(text), prefix="strange.r"), entropy=128)
        nobody = {"client_id": "verifier_x", "client_secret": "dws_live_x"}
        assert doorward.post("introspect", nobody, token=text).status_code == 401
        assert doorward.v1("POST", "/keys/verify", {"key": text}, key="dwa_live_x").status_code == 401
        assert rehashes(doorward, result["id"]) == 0


def test_a_service_takes_them_and_hears_of_their_end(server):
    """As it runs: the verifier's digest is not known yet, so that it shows the text once; the feed ends the key."""
    api, account = server.an_api(legacy=True), server.an_account()["id"]
    text = a_text("servi.ce_")
    given = {"account": account, "api": api["id"], "scope": "invoices:read", "bcrypt": slow(text), "prefix": "servi.ce"}
    (result,) = imported(server, given, entropy=128)
    own = server.a_verifier(api=api["identifier"])
    verifier = Verifier(
        server.issuer, audience=api["identifier"], verifier_id=own["client_id"], verifier_secret=own["client_secret"],
        ca_file=str(server.directory / "ca.pem"), legacy_keys=True,
    )  # fmt: skip
    try:
        assert verifier.check(text).key_id == result["id"]
        assert rehashes(server, result["id"]) == 1
        with pytest.raises(InvalidToken):
            verifier.check(text + "x")
        server.v1("POST", f"/keys/{result['id']}/revoke")
        until(lambda: is_refused(verifier, text))
    finally:
        verifier.close()


def is_refused(verifier, text):
    try:
        verifier.check(text)
    except InvalidToken:
        return True
    return False
