"""Upstreams in the settings: tables of their own, the environment over them, and every refusal with its ways out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.protocol.elsewhere import a_key_pair

from doorward.protocol.upstream import ClaimNames
from doorward.refusals import check
from doorward.settings import StartRefused, load
from doorward.upstream_settings import upstreams

PROVIDER = {"issuer": "https://login.acme.example", "client_id": "doorward"}
PAGE = {"issuer": "https://shop.example", "page": "https://shop.example/sign-in"}
KEYS = json.dumps({"keys": [a_key_pair("shop_1").as_dict(private=False)]})


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def sentences(**tables: dict[str, Any]) -> str:
    refusals = check(load({"upstream": tables}))
    assert all(len(refusal.ways_out) == 3 and all(refusal.ways_out) for refusal in refusals)
    return " ".join(refusal.sentence for refusal in refusals)


def test_an_upstream_is_a_table_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "doorward.toml").write_text(
        '[upstream.acme_inc]\nissuer = "https://login.acme.example/"\nclient_id = "doorward"\n'
        'first_sign_in = "verified_email"\nemail_domains = ["Acme.example"]\nclaims = {username = "upn"}\n'
    )
    (found,) = upstreams(load().upstream).values()
    assert (found.name, found.title, found.issuer) == ("acme_inc", "Acme Inc", "https://login.acme.example/")
    assert (found.first_sign_in, found.email_domains) == ("verified_email", ("acme.example",))
    assert found.claims == ClaimNames(username="upn")
    assert check(load()) == []


def test_the_environment_wins_over_the_file_key_by_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "doorward.toml").write_text(
        '[upstream.acme]\nissuer = "https://login.acme.example"\nclient_id = "filed"\ntitle = "Acme"\n'
    )
    (tmp_path / "secret").write_text("a secret\n")
    monkeypatch.setenv("DOORWARD__UPSTREAM__ACME__CLIENT_ID", "environ")
    monkeypatch.setenv("DOORWARD__UPSTREAM__ACME__CLIENT_SECRET_FILE", str(tmp_path / "secret"))
    monkeypatch.setenv("DOORWARD__UPSTREAM__ACME__EMAIL_DOMAINS", "acme.example, acme.test")
    monkeypatch.setenv("DOORWARD__UPSTREAM__ACME__CLAIMS__EMAIL", "mail")
    found = load().upstream["acme"]
    assert (found.client_id, found.title, found.secret) == ("environ", "Acme", "a secret")
    assert (found.email_domains, found.claims.email) == (("acme.example", "acme.test"), "mail")


def test_a_secret_is_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOORWARD__UPSTREAM__ACME__ISSUER", "https://login.acme.example")
    monkeypatch.setenv("DOORWARD__UPSTREAM__ACME__CLIENT_SECRET", "canary-of-what-is-secret")
    settings = load()
    assert settings.upstream["acme"].secret == "canary-of-what-is-secret"
    assert "canary" not in repr(settings)
    assert "canary" not in repr(settings.upstream)


@pytest.mark.parametrize(
    ("table", "named"),
    [
        ({"client_id": "doorward"}, "upstream.acme.issuer"),
        ({**PROVIDER, "isuer": "x"}, "upstream.acme.isuer"),
        ({**PROVIDER, "first_sign_in": "everyone"}, "upstream.acme.first_sign_in"),
        ({**PROVIDER, "claims": {"mail": "x"}}, "upstream.acme.claims.mail"),
        ({**PROVIDER, "title": ""}, "upstream.acme.title"),
    ],
)
def test_an_unusable_value_is_refused_by_its_place(table: dict[str, Any], named: str) -> None:
    with pytest.raises(StartRefused) as refused:
        load({"upstream": {"acme": table}})
    assert f"the setting {named} is not usable" in str(refused.value)
    (refusal,) = refused.value.refusals
    assert named.upper().replace(".", "__") in refusal.ways_out[1]


def test_an_unknown_variable_of_an_upstream_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOORWARD__UPSTREAM__ACME__ISSUER", "https://login.acme.example")
    monkeypatch.setenv("DOORWARD__UPSTREAM__ACME__CLIENT_SECERT", "x")
    with pytest.raises(StartRefused, match=r"upstream\.acme\.client_secert"):
        load()


@pytest.mark.parametrize("name", ["Acme", "a-b", "1", "../x", "a" * 32])
def test_a_name_that_would_not_do_in_an_address_is_refused(name: str) -> None:
    with pytest.raises(StartRefused, match="upstream"):
        load({"upstream": {name: PROVIDER}})


def test_what_is_safe_is_let_be() -> None:
    assert sentences(acme=PROVIDER) == ""
    assert sentences(acme={**PROVIDER, "issuer": "http://localhost:9000"}) == ""
    assert sentences(acme={**PROVIDER, "first_sign_in": "invited", "email_domains": ["acme.example"]}) == ""
    assert sentences(acme={**PROVIDER, "first_sign_in": "anyone"}, shop={**PAGE, "keys": KEYS}) == ""


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({"issuer": "https://x.example"}, "neither an OpenID provider nor a sign-in page"),
        ({**PROVIDER, "page": "https://x.example", "keys": KEYS}, "neither an OpenID provider nor a sign-in page"),
        ({**PROVIDER, "scopes": ["email"]}, "neither an OpenID provider nor a sign-in page"),
        ({**PROVIDER, "issuer": "http://login.acme.example"}, "in the clear"),
        ({**PAGE, "page": "http://shop.example/sign-in", "keys": KEYS}, "in the clear"),
        ({**PROVIDER, "issuer": "login.acme.example"}, "in the clear, or is no URL"),
        ({**PROVIDER, "client_secret_file": "nowhere"}, "cannot be read or used"),
        (PAGE, "cannot be read or used"),
        ({**PAGE, "keys": "{}"}, "cannot be read or used"),
        ({**PAGE, "keys": json.dumps({"keys": [a_key_pair().as_dict(private=True)]})}, "cannot be read or used"),
        ({**PAGE, "keys": json.dumps({"keys": [{"kty": "oct", "k": "AAAA", "kid": "x"}]})}, "cannot be read or used"),
        ({**PROVIDER, "first_sign_in": "verified_email"}, "by e-mail addresses that nothing says it may vouch for"),
        ({**PROVIDER, "first_sign_in": "invited"}, "by e-mail addresses that nothing says it may vouch for"),
        ({**PROVIDER, "issuer": "https://localhost:8443/"}, "one issuer, or one has our own"),
    ],
)
def test_what_is_unsafe_is_refused_with_three_ways_out(table: dict[str, Any], said: str) -> None:
    assert said in sentences(acme=table)


def test_two_upstreams_of_one_issuer_are_refused() -> None:
    assert "one issuer" in sentences(acme=PROVIDER, again={**PROVIDER, "client_id": "other"})


def test_keys_of_a_page_are_a_set_or_one_in_pem(tmp_path: Path) -> None:
    (tmp_path / "shop.pem").write_bytes(a_key_pair("shop_1").as_pem(private=False))
    in_pem = load({"upstream": {"shop": {**PAGE, "keys_file": str(tmp_path / "shop.pem")}}}).upstream["shop"]
    assert list(in_pem.public_keys()) == [""]
    in_a_set = load({"upstream": {"shop": {**PAGE, "keys": KEYS}}}).upstream["shop"]
    assert list(in_a_set.public_keys()) == ["shop_1"]
    (tmp_path / "private.pem").write_bytes(a_key_pair("shop_1").as_pem(private=True))
    private = load({"upstream": {"shop": {**PAGE, "keys_file": str(tmp_path / "private.pem")}}}).upstream["shop"]
    assert private.public_keys() == {}
