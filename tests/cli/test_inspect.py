"""`doorward inspect`: what a text is, read without asking anybody."""

import base64
import json
import time

import pytest

from doorward.cli.inspect import KINDS
from doorward_verify.api_key import assemble


def secret(brand="dw", kind="", environment="live"):
    return assemble(brand, kind, environment, "8sK2vQ0pXw4m", "a" * 32)


def token(header, claims, signature="AA"):
    parts = (base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in (header, claims))
    return ".".join([*parts, signature])


def test_the_credential_is_read_from_standard_input_or_a_file(run, tmp_path):
    (tmp_path / "key").write_text(secret())
    assert run("inspect", "-", stdin=secret() + "\n").code == 0
    assert run("inspect", "@key").code == 0
    assert run("inspect", "-", stdin="").code == 2
    assert run("inspect", "@nothing").code == 2


def test_in_the_arguments_it_is_warned_of_and_not_repeated(run):
    ran = run("inspect", secret())
    assert ran.err.startswith("warning: ")
    assert secret() not in ran.err + ran.out


@pytest.mark.parametrize(("kind", "name"), KINDS.items())
def test_each_kind_of_secret_is_told_apart(run, kind, name):
    found = run("inspect", "-", "--json", stdin=secret(kind=kind, environment="test")).json
    assert (found["kind"], found["brand"], found["environment"]) == (name, "dw", "test")
    assert (found["id"], found["checksum"]) == ("8sK2vQ0pXw4m", "good")


def test_a_secret_of_another_brand_is_known_by_its_form(run):
    found = run("inspect", "-", "--json", stdin=secret(brand="acme")).json
    assert (found["brand"], found["checksum"]) == ("acme", "good")
    assert "the brand here is dw" in found["note"]


def test_the_uri_scheme_of_secrets_is_understood(run):
    assert run("inspect", "-", "--json", stdin="secret-token:" + secret()).json["kind"] == "API key"


def test_a_changed_character_breaks_the_checksum(run):
    ran = run("inspect", "-", "--json", stdin=secret().replace("aaa", "aab"))
    assert (ran.code, ran.json["checksum"]) == (1, "bad")


def test_a_key_that_was_cut_off_is_told_so(run):
    ran = run("inspect", "-", stdin=secret()[:-1])
    assert ran.code == 1
    assert "49 characters follow instead of 50" in ran.out


@pytest.mark.parametrize("text", ["hello", "req_1zxMiE01j0001bq7Vw3Yp4", "a.b.c", "..", "\x1b[2J"])
def test_what_is_no_credential_fails_and_moves_no_cursor(run, text):
    ran = run("inspect", "-", stdin=text)
    assert ran.code == 1
    assert "\x1b" not in ran.out


def test_the_claims_of_a_foreign_jwt_are_told_but_not_believed(run):
    expired = int(time.time()) - 7200
    text = token({"alg": "ES256", "kid": "k", "typ": "at+jwt"}, {"sub": "a\x1b[2J", "exp": expired})
    ran = run("inspect", "-", stdin=text)
    assert ran.code == 0
    assert "sub  a\\x1b[2J" in ran.out
    assert "(2 hours ago)" in ran.out
    assert "  signature  not checked\n" in ran.out


def test_a_jwt_that_no_strict_reader_takes_is_shown_and_fails(run):
    ran = run("inspect", "-", "--json", stdin=token({"alg": "none", "crit": ["x"]}, {"sub": "a"}, ""))
    assert (ran.code, ran.json["well_formed"]) == (1, False)
    assert ran.json["claims"] == {"sub": "a"}


def test_inspecting_makes_no_data_directory_and_asks_no_server(run, server, tmp_path):
    asked = server()
    assert run("inspect", "-", stdin=secret()).code == 0
    assert asked == []
    assert not (tmp_path / "doorward-data").exists()
