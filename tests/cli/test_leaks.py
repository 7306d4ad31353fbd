"""`doorward leaks report|list|show`, and `scan --revoke` on the data directory."""

from __future__ import annotations

import hashlib
import json

import pytest


@pytest.fixture
def key(acme):
    return acme("keys", "create", "--account", "acme", "--api", "Invoices", "--scope", "invoices:read", "--json").json


def is_good(acme, key, tmp_path):
    (tmp_path / "key").write_text(key["key"])
    return acme("keys", "verify", f"@{tmp_path / 'key'}").code == 0


def test_a_file_of_secrets_and_digests_is_reported(acme, key, tmp_path):
    found = tmp_path / "found.txt"
    found.write_text(f"{hashlib.sha256(key['key'].encode()).hexdigest()}\nnot ours\n")
    answered = acme("leaks", "report", str(found), "--json").json["items"]
    assert [one["outcome"] for one in answered] == ["revoked", "unknown"]
    assert not is_good(acme, key, tmp_path)
    (leak,) = acme("leaks", "list", "--json").json["items"]
    assert (leak["owner"], leak["origin"]) == (key["id"], "administrator")
    assert leak["id"] in acme("leaks", "list").out
    assert acme("leaks", "show", leak["id"], "--json").json == leak
    assert key["id"] in acme("leaks", "show", leak["id"]).out


def test_a_file_as_github_sends_it_is_reported_with_its_places(acme, key, tmp_path):
    found = tmp_path / "found.json"
    found.write_text(json.dumps([{"token": key["key"], "type": "x", "url": "https://git.example.com/a"}]))
    ran = acme("leaks", "report", str(found))
    assert (ran.code, key["id"] in ran.out, key["key"] in ran.out) == (0, True, False)
    assert acme("leaks", "list", "--json").json["items"][0]["locations"] == ["https://git.example.com/a"]


def test_a_file_that_cannot_be_read_is_said(acme, tmp_path):
    found = tmp_path / "found.json"
    found.write_text('[{"secret": "x"}]')
    assert acme("leaks", "report", str(found)).code == 2
    assert acme("leaks", "report", str(tmp_path / "nowhere")).code == 2


def test_what_a_scan_finds_can_be_revoked_at_once(acme, key, tmp_path):
    place = tmp_path / "app"
    place.mkdir()
    (place / "settings.py").write_text(f"KEY = '{key['key']}'\n")
    ran = acme("leaks", "scan", str(place), "--revoke")
    assert ran.code == 1
    assert f"{place}/settings.py:1  api key dw_live_" in ran.out
    assert ran.out.rstrip().endswith("revoked")
    assert not is_good(acme, key, tmp_path)
    assert acme("leaks", "list", "--json").json["items"][0]["locations"] == [f"{place}/settings.py:1"]


def test_a_decoy_never_works(acme, tmp_path):
    decoy = acme(
        "keys", "create", "--decoy", "--account", "acme", "--api", "Invoices", "--scope", "invoices:read", "--json"
    ).json
    assert decoy["state"] == "decoy"
    assert not is_good(acme, decoy, tmp_path)
    audited = acme("audit", "list", "--type", "DecoyTried", "--json").json["items"]
    assert [entry["entity_id"] for entry in audited] == [decoy["id"]]
