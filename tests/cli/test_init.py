"""`doorward init`: who calls decides the mechanism, and what is offered is made."""

import json

import pytest

from doorward.cli.advice import ADVICE, Caller

OFFERED = [caller for caller in Caller if ADVICE[caller].makes]
LATER = [caller for caller in Caller if not ADVICE[caller].makes]


@pytest.mark.parametrize("caller", LATER)
def test_what_this_version_does_not_offer_is_said_and_makes_nothing(at, tmp_path, caller):
    ran = at("init", "--for", caller.value, "--yes")
    assert ran.code == 1
    assert ADVICE[caller].mechanism in ran.out
    assert "Nothing was made" in ran.out
    assert not (tmp_path / "data").exists()
    ran = at("init", "--for", caller.value, "--yes", "--json")
    assert (ran.code, ran.json["offered"]) == (1, False)


@pytest.mark.parametrize("caller", OFFERED)
def test_flags_answer_every_question(at, caller):
    words = ("--api", "https://a.example", "--name", "A", "--account", "acme", "--scope", "x:read=Read x")
    made = at("init", "--for", caller.value, *words, "--yes", "--json").json
    assert (made["for"], made["mechanism"], made["offered"]) == (caller.value, ADVICE[caller].mechanism, True)
    assert (made["api"]["identifier"], made["api"]["name"]) == ("https://a.example", "A")
    assert made["api"]["scopes"] == {"x:read": "Read x"}
    assert made["account"]["id"] == "acme"
    assert ("key" in made) == (caller is Caller.partners)


def test_with_yes_alone_the_defaults_answer(at):
    made = at("init", "--for", "partners", "--yes", "--json").json
    assert (made["api"]["identifier"], made["account"]["id"]) == ("https://api.example.com", "partner")
    assert made["key"]["scope"] == " ".join(made["api"]["scopes"])
    assert at("keys", "verify", "-", stdin=made["key"]["key"]).code == 0


def test_what_is_there_already_is_used(acme):
    words = ("--api", "Invoices", "--account", "acme", "--scope", "invoices:write", "--yes", "--json")
    made = acme("init", "--for", "servers", *words).json
    assert made["client"]["apis"][0]["scope"] == "invoices:write"
    assert len(acme("apis", "list", "--json").json["items"]) == 1
    assert len(acme("accounts", "list", "--json").json["items"]) == 1


def test_the_printed_call_keeps_the_secret_out_of_the_arguments(at):
    for caller in OFFERED:
        made = at("init", "--for", caller.value, "--yes", "--json").json
        if made.get("client", {}).get("client_secret") is None and "key" not in made:
            continue
        call = made.get("redeem") or made["call"]
        assert call.startswith("printf %s ")
        assert call.count("_live_") == 1
        assert "_live_" in call.partition("|")[0]


def test_someone_at_a_terminal_is_asked(at):
    answers = "7\n2\nhttps://a.example\n\nx:read=Read x\nacme\ny\n"
    ran = at("init", terminal=True, stdin=answers)
    assert ran.code == 0
    assert "an API key" in ran.out
    assert "scope    x:read" in ran.out
    key = next(line.split()[1] for line in ran.out.splitlines() if line.startswith("  key "))
    assert at("keys", "verify", "-", "--json", stdin=key).json["account"] == "acme"


def test_a_no_at_the_end_makes_nothing(at):
    assert at("init", "--for", "partners", terminal=True, stdin="\n\n\n\nn\n").code == 2
    assert at("apis", "list", "--json").json["items"] == []


def test_without_a_terminal_nobody_is_asked(at):
    assert at("init").code == 2
    assert at("init", "--for", "partners").code == 2
    assert at("init", "--yes").code == 2


def test_a_scope_without_a_sentence_is_refused_for_a_new_api(at):
    ran = at("init", "--for", "partners", "--scope", "x:read", "--yes", "--json")
    assert ran.code == 2
    assert "NAME=VALUE" in json.loads(ran.err.splitlines()[-1])["detail"]


def test_without_a_data_directory_the_default_one_is_made_here(run, tmp_path):
    assert run("init", "--for", "ci", "--yes").code == 0
    assert (tmp_path / "doorward-data").is_dir()
