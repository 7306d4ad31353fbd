"""Secrets are rotated, taken back, and handed to a command, without ever being lost or left behind."""

from __future__ import annotations

import shlex
import sys
import time

import pytest

API = "https://api.example.com"
HOUR = 3600


def good(acme, text):
    return acme("keys", "verify", "-", "--cost", "1", stdin=text).code == 0


@pytest.fixture
def client(acme):
    words = ("--account", "acme", "--name", "worker", "--api", API, "--scope", "invoices:read", "--json")
    return acme("clients", "create", *words).json


@pytest.fixture
def taking(tmp_path):
    """A command that keeps what it is given, and ends as it is told to."""

    def taking(code=0, prints=""):
        program = tmp_path / "take.py"
        program.write_text(
            "import pathlib, sys\n"
            f"pathlib.Path({str(tmp_path / 'taken')!r}).write_bytes(sys.stdin.buffer.read())\n"
            f"print({prints!r})\nsys.exit({code})\n"
        )
        return shlex.join([sys.executable, str(program)])

    return taking


def test_a_key_gets_a_new_secret_and_keeps_all_else(acme, key):
    ran = acme("keys", "rotate", key["id"], "--overlap", "2h", "--starts", "now", "--json")
    assert ran.code == 0
    new = ran.json
    assert (new["id"], new["expires_at"]) == (key["id"], key["expires_at"])
    assert new["key"] != key["key"]
    assert good(acme, key["key"])
    assert good(acme, new["key"])
    superseded = new["secrets"][0]
    assert superseded["state"] == "superseded"
    assert abs(superseded["expires_at"] - time.time() - 2 * HOUR) < 60


def test_the_overlap_waits_for_the_first_use_or_for_its_deadline(acme, key):
    new = acme("keys", "rotate", key["id"], "--overlap", "0", "--deadline", "7d", "--json").json
    assert new["secrets"][0]["state"] == "waiting"
    assert good(acme, key["key"])
    assert good(acme, new["key"])
    assert not good(acme, key["key"])


def test_a_rotated_key_is_shown_once_and_says_where_to_look(acme, key):
    ran = acme("keys", "rotate", key["id"])
    secret = next(line.split()[1] for line in ran.out.splitlines() if line.startswith("  key "))
    assert good(acme, secret)
    assert "shown this once" in ran.out
    assert f"doorward keys show {key['id']}" in ran.out
    shown = acme("keys", "show", key["id"]).out
    assert secret not in shown
    assert "waiting" in shown or "superseded" in shown
    env = acme("keys", "rotate", key["id"], "-o", "env").out
    assert env.startswith("DOORWARD_API_KEY=dw_live_")


@pytest.mark.parametrize(
    "words", [("--overlap", "2"), ("--starts", "soon"), ("--deadline", "1x"), ("--json", "-o", "env")]
)
def test_a_rotation_that_makes_no_sense_is_refused(acme, key, words):
    assert acme("keys", "rotate", key["id"], *words).code == 2
    assert len(acme("keys", "show", key["id"], "--json").json["secrets"]) == 1


def test_a_deadline_without_a_first_use_is_refused_by_the_api(acme, key):
    ran = acme("keys", "rotate", key["id"], "--starts", "now", "--deadline", "7d")
    assert (ran.code, "deadline" in ran.err) == (1, True)


def test_a_rotation_is_taken_back(acme, key):
    new = acme("keys", "rotate", key["id"], "--json").json
    ran = acme("keys", "cancel-rotation", key["id"])
    assert (ran.code, "has its old secret alone" in ran.out) == (0, True)
    assert good(acme, key["key"])
    assert not good(acme, new["key"])
    assert acme("keys", "cancel-rotation", key["id"]).code == 1


def test_a_key_rests_until_it_is_activated(acme, key):
    ran = acme("keys", "deactivate", key["id"])
    assert (ran.code, "is inactive" in ran.out) == (0, True)
    assert not good(acme, key["key"])
    assert acme("keys", "show", key["id"], "--json").json["state"] == "inactive"
    assert acme("keys", "activate", key["id"], "--json").json["state"] == "active"
    assert good(acme, key["key"])


def test_a_revoked_key_is_neither_rotated_nor_activated(acme, key):
    assert acme("keys", "revoke", key["id"]).code == 0
    for verb in ("rotate", "activate", "deactivate", "cancel-rotation"):
        ran = acme("keys", verb, key["id"])
        assert (ran.code, ran.out) == (1, ""), verb


def test_a_client_gets_a_new_secret(acme, client):
    ran = acme("clients", "rotate-secret", client["client_id"], "--overlap", "1h", "--starts", "now", "--json")
    assert ran.code == 0
    assert ran.json["client_secret"].startswith("dws_live_")
    assert ran.json["client_secret"] != client["client_secret"]
    variables = acme("clients", "rotate-secret", client["client_id"], "-o", "env").out
    assert "DOORWARD_CLIENT_SECRET=dws_live_" in variables
    assert acme("clients", "cancel-rotation", client["client_id"], "--json").json["client_id"] == client["client_id"]


def test_a_verifier_gets_a_new_secret(acme):
    verifier = acme("verifiers", "create", "--api", API, "--json").json
    ran = acme("verifiers", "rotate", verifier["client_id"], "--overlap", "1h", "--json")
    assert ran.json["client_secret"].startswith("dws_live_")
    assert ran.json["client_secret"] != verifier["client_secret"]
    assert "DOORWARD_VERIFIER_SECRET=dws_live_" in acme("verifiers", "rotate", verifier["client_id"], "-o", "env").out
    shown = acme("verifiers", "show", verifier["client_id"]).out
    assert "current, never used" in shown
    assert acme("verifiers", "cancel-rotation", verifier["client_id"]).code == 0
    assert acme("verifiers", "rotate", "verifier_unknown").code == 1


CREATE = ("keys", "create", "--account", "acme", "--api", API, "--scope", "invoices:read")


class TestToCommand:
    def test_a_new_key_goes_to_the_command_and_is_shown_nowhere(self, acme, taking, tmp_path):
        ran = acme(*CREATE, "--to-command", taking(prints="what was taken"), "--json")
        assert ran.code == 0
        secret = (tmp_path / "taken").read_text()
        assert secret.startswith(ran.json["prefix"])
        assert "key" not in ran.json
        assert good(acme, secret)
        text = acme(*CREATE, "--to-command", taking(prints="what was taken"))
        secret = (tmp_path / "taken").read_text()
        assert secret not in text.out + text.err
        assert "shown this once" not in text.out
        assert "what was taken" not in text.out

    def test_a_new_key_that_the_command_did_not_take_is_revoked(self, acme, taking, tmp_path):
        ran = acme(*CREATE, "--to-command", taking(code=3))
        assert (ran.code, ran.out) == (1, "")
        assert "ended with 3, so the new secret has been withdrawn" in ran.err
        assert not good(acme, (tmp_path / "taken").read_text())
        assert [item["state"] for item in acme("keys", "list", "--json").json["items"]] == ["revoked"]

    def test_a_rotation_that_the_command_did_not_take_is_taken_back(self, acme, key, taking, tmp_path):
        ran = acme("keys", "rotate", key["id"], "--to-command", taking(code=1))
        assert (ran.code, "withdrawn" in ran.err) == (1, True)
        assert not good(acme, (tmp_path / "taken").read_text())
        assert good(acme, key["key"])
        assert acme("keys", "rotate", key["id"], "--to-command", taking()).code == 0
        assert good(acme, (tmp_path / "taken").read_text())

    def test_the_secrets_of_programs_go_the_same_way(self, acme, client, taking, tmp_path):
        verifier = acme("verifiers", "create", "--api", API, "--json").json
        for words in (
            ("clients", "rotate-secret", client["client_id"]),
            ("verifiers", "rotate", verifier["client_id"]),
        ):
            ran = acme(*words, "--to-command", taking(), "--json")
            assert ran.code == 0
            assert "client_secret" not in ran.json
            assert (tmp_path / "taken").read_text().startswith("dws_live_")
            assert acme(*words, "--to-command", taking(code=1)).code == 1
            assert acme(words[0], "cancel-rotation", words[2]).code == 1, "it was taken back already"

    @pytest.mark.parametrize("command", ["", "no-such-command -x", "cat 'x"])
    def test_what_is_no_command_makes_nothing(self, acme, command):
        ran = acme(*CREATE, "--to-command", command)
        assert (ran.code, "--to-command" in ran.err) == (2, True)
        assert acme("keys", "list", "--json").json["items"] == []

    def test_where_nothing_would_be_left_it_is_refused(self, acme, key, taking):
        words = ("--to-command", taking())
        assert acme("keys", "rotate", key["id"], "--starts", "now", "--overlap", "0", *words).code == 2
        assert acme("keys", "rotate", key["id"], "-o", "env", *words).code == 2
        assert good(acme, key["key"])


class TestUsage:
    def test_a_key_shows_how_and_when_it_was_used(self, acme, key):
        assert acme("keys", "verify", "-", "--cost", "1", "--address", "192.0.2.7", stdin=key["key"]).code == 0
        assert acme("keys", "verify", "-", "--scope", "invoices:write", stdin=key["key"]).code == 1
        shown = acme("keys", "show", key["id"]).out
        assert "from 192.0.2.7" in shown
        assert shown.count("1 times good, 1 times refused (insufficient_scope)") == 2
        for words in (("keys", "usage", key["id"]), ("accounts", "usage", "acme")):
            ran = acme(*words, "--since", "2d")
            assert ran.code == 0
            assert "insufficient_scope 1" in ran.out
            assert acme(*words, "--json").json["counts"] == {"active": 1, "insufficient_scope": 1}
        hourly = acme("keys", "usage", key["id"], "--by", "hour").out
        assert ":00  1     1        insufficient_scope 1" in hourly

    def test_what_was_never_used_says_so(self, acme, key):
        assert "not used" in acme("keys", "usage", key["id"]).out
        assert acme("keys", "show", key["id"]).out.count("not used") == 2
        assert acme("keys", "usage", "key_unknown").code == 1
        assert acme("keys", "usage", key["id"], "--since", "yesterday").code == 2

    def test_who_still_uses_the_old_secret_is_seen(self, acme, key):
        new = acme("keys", "rotate", key["id"], "--starts", "now", "--json").json
        assert acme("keys", "verify", "-", "--cost", "1", "--address", "192.0.2.7", stdin=key["key"]).code == 0
        shown = acme("keys", "show", key["id"]).out
        old = next(line for line in shown.splitlines() if key["prefix"][-12:] in line)
        assert "superseded" in old
        assert "from 192.0.2.7" in old
        assert "1 times since there is a newer one" in old
        assert any(new["prefix"][-12:] in line and "never used" in line for line in shown.splitlines())


class TestLists:
    def test_keys_that_somebody_should_look_at(self, acme, key):
        def listed(*words):
            return [item["id"] for item in acme("keys", "list", *words, "--json").json["items"]]

        never = acme(*CREATE, "--no-expiry", "--json").json
        assert listed("--no-expiry") == [never["id"]]
        assert listed("--expiring-within", "91d") == [key["id"]]
        for words in (("--expiring-within", "30d"), ("--unused-for", "90d"), ("--older-than", "1d")):
            assert listed(*words) == []
            assert "There are no keys here" in acme("keys", "list", *words).err
        assert acme("keys", "list", "--unused-for", "90").code == 2
        assert "LAST USED" in acme("keys", "list").out

    def test_an_api_says_how_long_its_keys_live(self, acme):
        words = ("--unused-key-lifetime", "90d", "--key-lifetime-limit", "365d")
        assert acme("apis", "update", "Invoices", *words).code == 0
        shown = acme("apis", "show", "Invoices").out
        assert "unused keys end  after 90 days" in shown
        assert "keys end         after 1 year" in shown
        ran = acme(*CREATE, "--no-expiry")
        assert (ran.code, "no_expiry" in ran.err) == (1, True)
        lifted = acme("apis", "update", "Invoices", "--key-lifetime-limit", "0", "--json").json
        assert (lifted["key_lifetime_limit"], lifted["unused_key_lifetime"]) == (None, 90 * 86_400)
        assert acme(*CREATE, "--no-expiry").code == 0
