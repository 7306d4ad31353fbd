"""The commands of the record, as written there, on an empty data directory."""

import shlex
import stat
import time

import pytest

DAY = 86_400
API = "https://api.example.com"


def test_a_data_directory_is_made_by_the_first_creation_and_not_by_a_look(at, tmp_path):
    ran = at("apis", "list")
    assert ran.code == 1
    assert "there is no data directory" in ran.err
    assert not (tmp_path / "data").exists()
    ran = at("accounts", "create", "acme")
    assert (ran.code, "Made the data directory" in ran.err) == (0, True)
    assert stat.S_IMODE((tmp_path / "data").stat().st_mode) == 0o700


def test_apis_create(at):
    words = shlex.split(
        f'apis create {API} --name Invoices --scope "invoices:read=Read your invoices" '
        '--scope "invoices:write=Create and change invoices" --json'
    )
    made = at(*words).json
    assert made["identifier"] == API
    assert made["scopes"] == {
        "invoices:read": "Read your invoices",
        "invoices:write": "Create and change invoices",
    }
    assert (made["token_format"], made["token_lifetime"], made["signing_algorithm"]) == ("jwt", 300, "ES256")


def test_an_api_has_status_lists_when_it_says_so(at):
    words = ("apis", "create", API, "--name", "Invoices", "--status-list", "--json")
    assert at(*words).json["status_list"] is True
    assert "status list" in at("apis", "show", "Invoices").out
    assert at("apis", "update", "Invoices", "--token-lifetime", "1m", "--json").json["status_list"] is True
    assert at("apis", "update", "Invoices", "--no-status-list", "--json").json["status_list"] is False
    assert at("apis", "update", "Invoices", "--status-list", "--json").json["status_list"] is True


def test_accounts_create(at):
    made = at(*shlex.split('accounts create acme --name "Acme Inc" --json')).json
    assert (made["id"], made["name"], made["state"]) == ("acme", "Acme Inc", "active")


def test_keys_create(acme):
    before = int(time.time())
    words = f"keys create --account acme --api {API} --scope invoices:read --expires-in 90d --json"
    made = acme(*words.split()).json
    assert made["key"].startswith(made["prefix"] + "")
    assert made["prefix"].startswith("dw_live_")
    assert made["scope"] == "invoices:read"
    assert before + 90 * DAY <= made["expires_at"] <= int(time.time()) + 90 * DAY


@pytest.mark.parametrize("api", [API, "Invoices", "invoices"])
def test_an_api_is_named_by_its_uri_or_its_name(acme, api):
    made = acme("keys", "create", "--account", "acme", "--api", api, "--scope", "invoices:read", "--json").json
    assert made["api"] == API
    assert acme("apis", "show", api, "--json").json["identifier"] == API
    listed = acme("keys", "list", "--api", api, "--json").json
    assert [item["id"] for item in listed["items"]] == [made["id"]]


def test_an_api_is_named_by_its_id_too(acme):
    id_ = acme("apis", "show", API, "--json").json["id"]
    assert acme("apis", "show", id_, "--json").json["identifier"] == API


def test_no_expiry_is_said_aloud(acme):
    words = ("keys", "create", "--account", "acme", "--api", API, "--scope", "invoices:read", "--json")
    assert acme(*words, "--no-expiry").json["expires_at"] is None
    assert acme(*words).json["expires_at"] is not None
    assert acme(*words, "--no-expiry", "--expires-in", "1d").code == 1


def test_scopes_are_words_or_repetitions(acme):
    words = ("keys", "create", "--account", "acme", "--api", API, "--json")
    together = acme(*words, "--scope", "invoices:write invoices:read").json
    repeated = acme(*words, "--scope", "invoices:write", "--scope", "invoices:read").json
    assert together["scope"] == repeated["scope"] == "invoices:read invoices:write"


def test_clients_create(acme):
    words = (
        f"clients create --account acme --name worker --grant-type client_credentials --api {API} "
        '--scope "invoices:read invoices:write" --json'
    )
    made = acme(*shlex.split(words)).json
    assert made["client_id"].startswith("client_")
    assert made["client_secret"].startswith("dws_live_")
    assert made["grant_types"] == ["client_credentials"]
    assert [(grant["api"], grant["scope"]) for grant in made["apis"]] == [(API, "invoices:read invoices:write")]


def test_verifiers_create_prints_every_variable_that_checking_needs(acme, tmp_path):
    ran = acme("verifiers", "create", "--api", API, "-o", "env")
    assert (ran.code, ran.err) == (0, "")
    variables = dict(line.split("=", 1) for line in ran.out.splitlines())
    assert list(variables) == [
        "DOORWARD_ISSUER", "DOORWARD_VERIFIER_ID", "DOORWARD_VERIFIER_SECRET", "DOORWARD_CA_FILE",
    ]  # fmt: skip
    assert variables["DOORWARD_ISSUER"] == "https://localhost:8443"
    assert variables["DOORWARD_VERIFIER_SECRET"].startswith("dws_live_")
    assert variables["DOORWARD_CA_FILE"] == str(tmp_path / "data" / "ca.pem")
    assert (tmp_path / "data" / "ca.pem").is_file()


def test_verifiers_create_in_json_gives_client_id_and_secret(acme):
    made = acme("verifiers", "create", "--api", API, "--json").json
    assert {"client_id", "client_secret"} <= made.keys()


def test_clients_and_keys_can_be_handed_on_as_environment_too(acme):
    words = ("--account", "acme", "--api", API, "--scope", "invoices:read", "-o", "env")
    names = [line.split("=")[0] for line in acme("clients", "create", "--name", "w", *words).out.splitlines()]
    assert names == ["DOORWARD_ISSUER", "DOORWARD_CLIENT_ID", "DOORWARD_CLIENT_SECRET", "DOORWARD_CA_FILE"]
    assert acme("keys", "create", *words).out.startswith("DOORWARD_API_KEY=dw_live_")
    names = [line.split("=")[0] for line in acme("admin-keys", "create", "ci", "-o", "env").out.splitlines()]
    assert names == ["DOORWARD_URL", "DOORWARD_ADMIN_KEY", "DOORWARD_CA_FILE"]


def test_json_and_env_at_once_are_a_misuse_and_make_nothing(acme):
    assert acme("verifiers", "create", "--api", API, "--json", "-o", "env").code == 2
    assert acme("verifiers", "list", "--json").json["items"] == []


def test_keys_verify_takes_the_key_with_a_warning(acme, key):
    ran = acme("keys", "verify", key["key"], "--json")
    assert (ran.code, ran.json["active"], ran.json["key_id"]) == (0, True, key["id"])
    assert ran.err.startswith("warning: ")
    assert key["key"] not in ran.err


def test_keys_verify_takes_standard_input_or_a_file_without_one(acme, key, tmp_path):
    (tmp_path / "key").write_text(key["key"] + "\n")
    for words, stdin in ((("-",), key["key"] + "\n"), (("@key",), "")):
        ran = acme("keys", "verify", *words, "--json", stdin=stdin)
        assert (ran.code, ran.json["active"], ran.err) == (0, True, "")


def test_keys_verify_asks_for_an_api_and_a_scope(acme, key):
    asked = ("keys", "verify", "-", "--json")
    assert acme(*asked, "--api", "https://other.example", stdin=key["key"]).json["reason"] == "wrong_audience"
    assert acme(*asked, "--scope", "invoices:write", stdin=key["key"]).json["reason"] == "insufficient_scope"


def test_a_revoked_key_is_refused_and_the_exit_code_says_so(acme, key):
    revoked = acme("keys", "revoke", key["id"], "--json")
    assert (revoked.code, revoked.json["state"]) == (0, "revoked")
    ran = acme("keys", "verify", "-", "--json", stdin=key["key"])
    assert (ran.code, ran.json["active"], ran.json["reason"]) == (1, False, "credential_revoked")
    told = acme("keys", "verify", "-", stdin=key["key"])
    assert told.code == 1
    assert told.out.startswith("The key is not good\n")


def test_a_key_of_nobody_is_not_good(acme):
    assert acme("keys", "verify", "-", "--json", stdin="dw_live_x").json["reason"] == "credential_malformed"


def test_admin_keys_create(acme):
    made = acme("admin-keys", "create", "ci", "--json").json
    assert made["key"].startswith("dwa_live_")
    narrow = acme(*shlex.split('admin-keys create ci --scope "keys:read audit:read" --expires-in 30d --json')).json
    assert narrow["scope"] == "audit:read keys:read"
    assert acme("admin-keys", "revoke", narrow["id"], "--json").json["state"] == "revoked"


def test_a_suspended_account_stops_its_keys_and_resumes_them(acme, key):
    assert acme("accounts", "suspend", "acme", "--json").json["state"] == "suspended"
    assert acme("keys", "verify", "-", "--json", stdin=key["key"]).json["reason"] == "account_suspended"
    assert acme("accounts", "resume", "acme", "--json").json["state"] == "active"
    assert acme("keys", "verify", "-", "--json", stdin=key["key"]).json["active"]


def test_a_key_is_changed_where_it_was_named(acme, key):
    changed = acme("keys", "update", key["id"], "--name", "partner", "--metadata", "plan=gold", "--json").json
    assert (changed["name"], changed["metadata"], changed["scope"]) == ("partner", {"plan": "gold"}, "invoices:read")


def test_a_client_is_disabled_and_its_grant_changed(acme):
    words = ("--account", "acme", "--name", "w", "--api", API, "--scope", "invoices:read", "--json")
    client_id = acme("clients", "create", *words).json["client_id"]
    changed = acme("clients", "update", client_id, "--api", API, "--scope", "invoices:write", "--json").json
    assert changed["apis"][0]["scope"] == "invoices:write"
    assert acme("revoke", "--client", client_id, "--json").json == {"kind": "client", "id": client_id, "changed": True}
    assert acme("clients", "show", client_id, "--json").json["state"] == "disabled"


def test_a_client_is_told_where_to_hear_of_logouts_and_shows_it(acme):
    bye, heard = "https://books.example/bye", "https://books.example/logout"
    words = ("--account", "acme", "--name", "Books", "--grant-type", "authorization_code", "--json")
    given = ("--redirect-uri", "https://books.example/cb", "--post-logout-redirect-uri", bye)
    made = acme("clients", "create", *words, *given, "--backchannel-logout-uri", heard).json
    assert (made["post_logout_redirect_uris"], made["backchannel_logout_uri"]) == ([bye], heard)
    shown = acme("clients", "show", made["client_id"]).out
    assert bye in shown
    assert heard in shown
    changed = acme("clients", "update", made["client_id"], "--backchannel-logout-uri", "", "--json").json
    assert (changed["post_logout_redirect_uris"], changed["backchannel_logout_uri"]) == ([bye], None)


def test_a_grant_ends_once(acme):
    words = ("--account", "acme", "--name", "w", "--api", API, "--scope", "invoices:read", "--json")
    grant = acme("clients", "create", *words).json["apis"][0]["grant_id"]
    assert acme("grants", "revoke", grant, "--json").json["changed"] is True
    assert acme("revoke", "--grant", grant, "--json").json["changed"] is False


def test_revoke_wants_exactly_one_thing(acme):
    assert acme("revoke").code == 2
    assert acme("revoke", "--account", "acme", "--client", "c").code == 2


def test_a_deletion_needs_a_yes(acme):
    ran = acme("apis", "delete", "Invoices")
    assert (ran.code, "--yes" in ran.err) == (2, True)
    assert acme("apis", "delete", "Invoices", terminal=True, stdin="n\n").code == 2
    assert acme("apis", "delete", "Invoices", terminal=True, stdin="").code == 2
    assert acme("apis", "show", "Invoices").code == 0
    assert acme("apis", "delete", "Invoices", terminal=True, stdin="y\n").code == 0
    assert acme("apis", "show", "Invoices").code == 1


def test_an_api_in_use_is_not_deleted(acme, key):
    ran = acme("apis", "delete", "Invoices", "--yes")
    assert (ran.code, "still has keys" in ran.err) == (1, True)


def test_lists_show_no_secret(acme, key):
    for noun in ("apis", "accounts", "keys", "clients", "verifiers", "admin-keys", "signing-keys"):
        ran = acme(noun, "list")
        assert ran.code == 0
        assert key["key"] not in ran.out
    kids = [item["kid"] for item in acme("signing-keys", "list", "--json").json["items"]]
    assert len(kids) == len(set(kids)) >= 1


def test_what_is_shown_once_is_on_stdout_and_nowhere_else(acme, tmp_path):
    ran = acme("keys", "create", "--account", "acme", "--api", API, "--scope", "invoices:read")
    secret = next(line.split()[1] for line in ran.out.splitlines() if line.startswith("  key "))
    assert secret.startswith("dw_live_")
    assert "shown this once" in ran.out
    for file in (tmp_path / "data").rglob("*"):
        assert not file.is_file() or secret.encode() not in file.read_bytes()
