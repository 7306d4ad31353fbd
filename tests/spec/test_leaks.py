"""Leaks, decision 16a and T164: a secret that is handed in ends at once, and its finder learns nothing else."""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.deployment import Doorward, Json, Response, deployed

from doorward.web import leaks
from doorward_verify import api_key as form

HERE = "https://git.example.com/acme/app/blob/main/.env#L3"


def burn(doorward: Doorward, token: Any, **more: Any) -> Response:
    return doorward.http.post("/leaks/burn", json={"token": token, **more})


def report(doorward: Doorward, *reports: Json, key: str | None = None, **more: Any) -> Any:
    reply = doorward.v1("POST", "/leaks", {"reports": list(reports), **more}, key=key)
    assert reply.status_code == 200, reply.text
    return reply.json()["items"]


def verify(doorward: Doorward, key: str, body: Json) -> Response:
    return doorward.http.post("/leaks/verify", json=body, headers={"authorization": f"Bearer {key}"})


def leak_of(doorward: Doorward, secret: str) -> Json:
    return dict(doorward.v1("GET", f"/leaks/leak_{form.parse(secret).id}").json())


def is_good(doorward: Doorward, key: str) -> bool:
    return bool(doorward.v1("POST", "/keys/verify", {"key": key}).json()["active"])


def can_get_a_token(doorward: Doorward, client: Json) -> bool:
    return doorward.post("token", client, grant_type="client_credentials").status_code == 200


def made_up(kind: str = "") -> str:
    """Form and checksum hold, and nobody made it."""
    letters = [secrets.choice(form.ALPHABET) for _ in range(44)]
    return form.assemble("dw", kind, "live", "".join(letters[:12]), "".join(letters[12:]))


def test_a_burnt_key_is_refused_when_the_answer_is_there(doorward: Doorward) -> None:
    key, sibling = doorward.a_key(), doorward.a_key()
    reply = burn(doorward, key["key"], location=HERE)
    assert (reply.status_code, reply.json()) == (202, {})
    assert not is_good(doorward, key["key"])
    assert is_good(doorward, sibling["key"])
    known = leak_of(doorward, key["key"])
    assert (known["outcome"], known["owner"], known["account"]) == ("revoked", key["id"], key["account"])
    assert known["locations"] == [HERE]


def test_a_burnt_client_secret_opens_nothing_and_its_tokens_are_dead(doorward: Doorward) -> None:
    client = doorward.a_client()
    verifier = doorward.a_verifier(
        api=doorward.v1("GET", f"/grants?client={client['client_id']}").json()["items"][0]["api"]
    )
    token = doorward.token(client)
    assert doorward.introspect(verifier, token)["active"]
    burn(doorward, client["client_secret"])
    assert not can_get_a_token(doorward, client)
    assert not doorward.introspect(verifier, token)["active"]
    assert doorward.v1("GET", f"/clients/{client['client_id']}").json()["state"] == "active"
    assert leak_of(doorward, client["client_secret"])["credential"] == "client_secret"


@pytest.mark.parametrize("token_format", ["jwt", "opaque"])
def test_a_burnt_access_token_ends_alone(doorward: Doorward, token_format: str) -> None:
    api = doorward.an_api(token_format=token_format)
    client, verifier = doorward.a_client(api=api["identifier"]), doorward.a_verifier(api=api["identifier"])
    leaked, other = doorward.token(client), doorward.token(client)
    burn(doorward, leaked)
    assert not doorward.introspect(verifier, leaked)["active"]
    assert doorward.introspect(verifier, other)["active"]
    assert can_get_a_token(doorward, client)


def test_a_burnt_admin_key_and_verifier_secret_open_nothing(doorward: Doorward) -> None:
    key, verifier = doorward.an_admin_key("apis:read"), doorward.a_verifier()
    burn(doorward, key)
    burn(doorward, verifier["client_secret"])
    assert doorward.v1("GET", "/apis", key=key).status_code == 401
    assert doorward.post("introspect", verifier, token="x").status_code == 401


def test_of_a_key_in_rotation_the_leaked_secret_ends_and_its_sibling_goes_on(doorward: Doorward) -> None:
    """At once, and at a verifier that remembers both without asking again."""
    old = doorward.a_key()
    verifier = doorward.a_verifier(api=old["api"])
    new = doorward.v1("POST", f"/keys/{old['id']}/rotate", {"starts": "now", "overlap": 3600}).json()
    feed = doorward.http.get("/revocations", auth=(verifier["client_id"], verifier["client_secret"])).json()
    burn(doorward, old["key"])
    assert (is_good(doorward, old["key"]), is_good(doorward, new["key"])) == (False, True)
    told = doorward.http.get(
        f"/revocations?since={feed['pos']}", auth=(verifier["client_id"], verifier["client_secret"])
    ).json()["entries"]
    ours = [(one["kind"], one["value"], one["effect"]) for one in told]
    assert ("secret", form.parse(old["key"]).id, "dead") in ours
    assert old["id"] not in {value for _, value, _ in ours}
    shown = doorward.v1("GET", f"/keys/{old['id']}").json()
    assert shown["state"] == "active"
    assert [one["state"] for one in shown["secrets"]] == ["revoked", "current"]


def test_a_key_whose_only_secret_leaked_says_so_and_gets_a_new_one_under_its_id(doorward: Doorward) -> None:
    key = doorward.a_key(metadata={"plan": "gold"})
    burn(doorward, key["key"])
    shown = doorward.v1("GET", f"/keys/{key['id']}").json()
    assert (shown["state"], shown["prefix"]) == ("leaked", key["prefix"])
    rotated = doorward.v1("POST", f"/keys/{key['id']}/rotate", {}).json()
    assert (rotated["id"], rotated["metadata"], rotated["state"]) == (key["id"], {"plan": "gold"}, "active")
    assert (is_good(doorward, key["key"]), is_good(doorward, rotated["key"])) == (False, True)


def test_of_a_verifier_the_leaked_secret_ends_and_a_new_one_can_be_made(doorward: Doorward) -> None:
    old = doorward.a_verifier()
    burn(doorward, old["client_secret"])
    assert doorward.post("introspect", old, token="x").status_code == 401
    new = doorward.v1("POST", f"/verifiers/{old['client_id']}/rotate", {}).json()
    assert doorward.post("introspect", new, token="x").status_code == 200
    burn(doorward, old["client_secret"])
    assert doorward.post("introspect", new, token="x").status_code == 200


def test_a_client_whose_only_secret_leaked_gets_a_new_one(doorward: Doorward) -> None:
    client = doorward.a_client()
    burn(doorward, client["client_secret"])
    new = doorward.v1("POST", f"/clients/{client['client_id']}/rotate-secret", {}).json()
    assert can_get_a_token(doorward, new)


def test_what_is_burnt_twice_is_one_leak_with_all_of_its_places(doorward: Doorward) -> None:
    key = doorward.a_key()
    for place in (HERE, HERE, "a fork", "another fork"):
        assert burn(doorward, key["key"], location=place).status_code == 202
    assert leak_of(doorward, key["key"])["locations"] == [HERE, "a fork", "another fork"]


def test_the_places_of_a_leak_do_not_grow_without_end(doorward: Doorward) -> None:
    key = doorward.a_key()
    report(doorward, *({"token": key["key"], "location": f"fork {number}"} for number in range(30)))
    assert len(leak_of(doorward, key["key"])["locations"]) == 20


def test_32_who_burn_one_key_at_once_are_all_answered(doorward: Doorward) -> None:
    key = doorward.a_key()
    replies = doorward.at_once(32, lambda number: burn(doorward, key["key"], location=str(number)))
    assert [reply.status_code for reply in replies] == [202] * 32
    assert leak_of(doorward, key["key"])["outcome"] == "revoked"


def test_everything_that_is_handed_in_gets_the_same_answer(doorward: Doorward) -> None:
    """T164: strangers learn neither whether a secret exists nor whether it was alive."""
    key = doorward.a_key()["key"]
    guessed = form.assemble("dw", "", "live", form.parse(key).id, "x" * 32)
    seen = set()
    for token in (key, key, guessed, made_up(), made_up("a"), key[:-1], "", "x", "a.b.c", "eyJ.eyJ.x", "ä" * 100):
        reply = burn(doorward, token)
        seen.add((reply.status_code, reply.text, tuple(sorted(set(reply.headers) - {"x-request-id"}))))
    assert len(seen) == 1


def test_an_answer_waits_for_the_beat_whatever_was_handed_in(doorward: Doorward) -> None:
    for token in (doorward.a_key()["key"], made_up(), "x"):
        began = time.monotonic()
        burn(doorward, token)
        assert time.monotonic() - began >= 0.25


def test_who_reports_too_much_is_told_when_to_come_again_and_nothing_else(
    doorward: Doorward, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = doorward.a_key()["key"]
    monkeypatch.setattr(leaks, "BURST", 0)
    replies = [burn(doorward, token) for token in (key, made_up(), "x", 1)]
    assert {reply.status_code for reply in replies} == {429}
    assert {reply.json()["reason"] for reply in replies} == {"too_many_reports"}
    assert all(1 <= int(reply.headers["retry-after"]) <= 100 for reply in replies)
    monkeypatch.undo()
    assert is_good(doorward, key)


def test_the_public_id_alone_ends_nothing(doorward: Doorward) -> None:
    """Unlike at PyPI the id is public: it stands in logs and lists."""
    key = doorward.a_key()["key"]
    burn(doorward, form.assemble("dw", "", "live", form.parse(key).id, "x" * 32))
    assert is_good(doorward, key)
    assert doorward.v1("GET", f"/leaks/leak_{form.parse(key).id}").status_code == 404


@pytest.mark.parametrize(
    "body", [{}, {"token": 1}, {"token": "x", "location": 1}, {"token": "x", "more": 1}, {"key": "x"}]
)
def test_a_malformed_report_is_refused(doorward: Doorward, body: Json) -> None:
    assert doorward.http.post("/leaks/burn", json=body).status_code == 400


def test_a_secret_in_the_url_is_not_read(doorward: Doorward) -> None:
    key = doorward.a_key()["key"]
    assert doorward.http.post(f"/leaks/burn?token={key}").status_code == 415
    assert doorward.http.get("/leaks/burn").status_code == 405


# /leaks/verify


def test_a_scanner_hears_that_a_key_was_alive_and_it_is_dead_from_then_on(doorward: Doorward) -> None:
    key, scanner = doorward.a_key(), doorward.an_admin_key("leaks:verify")
    first = verify(doorward, scanner, {"token": key["key"], "location": HERE})
    assert first.status_code == 200
    assert first.json() == {"id": form.parse(key["key"]).id, "credential": "api_key", "outcome": "revoked"}
    assert not is_good(doorward, key["key"])
    assert verify(doorward, scanner, {"token": key["key"]}).status_code == 410
    assert verify(doorward, scanner, {"token": made_up()}).status_code == 404
    assert leak_of(doorward, key["key"])["origin"] == "scanner"


def test_trufflehog_is_understood(doorward: Doorward) -> None:
    key, scanner = doorward.a_key(), doorward.an_admin_key("leaks:verify")
    body = {"DoorwardKey": {"token": [f'"{key["key"]}"', key["key"]]}}
    assert verify(doorward, scanner, body).status_code == 200


def test_who_may_not_verify_learns_nothing_and_ends_nothing(doorward: Doorward) -> None:
    key = doorward.a_key()["key"]
    assert verify(doorward, doorward.an_admin_key("keys:read"), {"token": key}).status_code == 403
    assert verify(doorward, made_up("a"), {"token": key}).status_code == 401
    assert doorward.http.post("/leaks/verify", json={"token": key}).status_code == 401
    assert is_good(doorward, key)


def test_what_was_verified_is_in_the_audit_log_in_the_name_of_the_scanner(doorward: Doorward) -> None:
    key, made = doorward.a_key(), doorward.create("/admin-keys", name="ci", scope="leaks:verify")
    verify(doorward, made["key"], {"token": key["key"], "location": HERE})
    entries = doorward.v1("GET", f"/audit?entity=leak_{form.parse(key['key']).id}").json()["items"]
    assert [(entry["type"], entry["actor"]) for entry in entries] == [("LeakReported", made["id"])]
    assert entries[0]["data"]["locations"] == [HERE]


# /v1/leaks


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def test_an_administrator_reports_many_at_once_and_hears_what_became_of_each(doorward: Doorward) -> None:
    key, client = doorward.a_key(), doorward.a_client()
    dead = doorward.a_key()
    doorward.v1("POST", f"/keys/{dead['id']}/revoke")
    items = report(
        doorward, {"token": key["key"]}, {"token": client["client_secret"]}, {"token": dead["key"]},
        {"token": made_up()}, {"token": "x"}, {"token": key["key"]},
    )  # fmt: skip
    assert [item["outcome"] for item in items] == ["revoked", "revoked", "ended", "unknown", "unknown", "revoked"]
    assert items[0]["owner"] == key["id"]
    assert not is_good(doorward, key["key"])
    assert not can_get_a_token(doorward, client)


def test_the_settings_say_which_kinds_are_flagged_or_ignored_and_whoever_burns_is_not_asked(tmp_path: Path) -> None:
    with deployed(tmp_path, leaks_flagged="test_api_key,client_secret", leaks_ignored="opaque_token") as doorward:
        api = doorward.an_api(token_format="opaque")["identifier"]
        client, live, test = doorward.a_client(api=api), doorward.a_key(api=api), doorward.a_key(environment="test")
        token = doorward.token(client)
        texts = (live["key"], test["key"], client["client_secret"], token)
        items = report(doorward, *({"token": text} for text in texts))
        assert [item["outcome"] for item in items] == ["revoked", "flagged", "flagged", "ignored"]
        assert (is_good(doorward, live["key"]), is_good(doorward, test["key"])) == (False, True)
        assert can_get_a_token(doorward, client)
        # What is ignored leaves no trace, what is flagged does, and ends when its holder wants it.
        listed = {one["credential"]: one["outcome"] for one in doorward.v1("GET", "/leaks").json()["items"]}
        assert listed == {"api_key": "revoked", "test_api_key": "flagged", "client_secret": "flagged"}
        burn(doorward, test["key"])
        assert not is_good(doorward, test["key"])
        assert leak_of(doorward, test["key"])["outcome"] == "revoked"


def test_a_digest_is_enough_of_an_administrator(doorward: Doorward) -> None:
    secrets_: list[tuple[str, Callable[[], bool]]] = []
    key, client = doorward.a_key()["key"], doorward.a_client()
    secrets_ += [(key, lambda: is_good(doorward, key))]
    secrets_ += [(client["client_secret"], lambda: can_get_a_token(doorward, client))]
    items = report(doorward, *({"token_sha256": sha256(secret)} for secret, _ in secrets_))
    assert [item["outcome"] for item in items] == ["revoked", "revoked"]
    assert not any(works() for _, works in secrets_)


def test_a_digest_of_a_stranger_ends_nothing(doorward: Doorward) -> None:
    key = doorward.a_key()["key"]
    assert burn(doorward, sha256(key)).status_code == 202
    assert doorward.http.post("/leaks/burn", json={"token_sha256": sha256(key)}).status_code == 400
    assert is_good(doorward, key)


def test_reports_need_their_scope(doorward: Doorward) -> None:
    body = {"reports": [{"token": doorward.a_key()["key"]}]}
    assert doorward.v1("POST", "/leaks", body, key=doorward.an_admin_key("leaks:read")).status_code == 403


@pytest.mark.parametrize(
    "body",
    [{"reports": []}, {"reports": [{}]}, {"reports": [{"token": "x", "token_sha256": "x"}]}, {},
     {"reports": [{"token_sha256": "x"}]}, {"reports": [{"token": "x"}] * 101}, {"reports": [{"token": "x", "a": 1}]}],
)  # fmt: skip
def test_a_report_that_cannot_be_read_is_refused(doorward: Doorward, body: Json) -> None:
    assert doorward.v1("POST", "/leaks", body).status_code == 422


def test_leaks_are_listed_by_account_and_outcome(doorward: Doorward) -> None:
    key = doorward.a_key()
    burn(doorward, key["key"])
    listed = doorward.v1("GET", f"/leaks?account={key['account']}&outcome=revoked").json()["items"]
    assert [leak["owner"] for leak in listed] == [key["id"]]
    assert doorward.v1("GET", f"/leaks?account={key['account']}&outcome=flagged").json()["items"] == []


def test_a_place_that_is_told_holds_no_secret_and_steers_no_reader(doorward: Doorward) -> None:
    key = doorward.a_key()["key"]
    burn(doorward, key, location=f"https://x/?k={key}\r\n\x1b[31mred" + "x" * 1000)
    (place,) = leak_of(doorward, key)["locations"]
    assert key[-38:] not in place
    assert place.isprintable()
    assert len(place) <= 500
