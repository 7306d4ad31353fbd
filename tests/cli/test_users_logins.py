"""`doorward users link`, `logins` and `unlink`: logins that users have elsewhere."""

from __future__ import annotations

import pytest

SETTINGS = """
[upstream.acme]
issuer = "https://login.acme.example"
client_id = "doorward"
client_secret = "canary-of-what-is-secret"
first_sign_in = "invited"
email_domains = ["acme.example"]
"""


@pytest.fixture
def with_upstream(acme, tmp_path):
    (tmp_path / "doorward.toml").write_text(SETTINGS)
    acme("users", "create", "ada")
    return acme


def test_a_login_is_linked_listed_and_unlinked(with_upstream):
    ran = with_upstream("users", "link", "ada", "--upstream", "acme", "--subject", "00u1")
    assert (ran.code, ran.err) == (0, "")
    assert "Linked a login at acme" in ran.out
    (login,) = with_upstream("users", "logins", "ada", "--json").json["items"]
    assert (login["upstream"], login["subject"], login["state"]) == ("acme", "00u1", "linked")
    shown = with_upstream("users", "logins", "ADA").out
    assert "00u1" in shown
    assert login["id"] in shown
    assert with_upstream("users", "unlink", login["id"]).code == 0
    assert with_upstream("users", "logins", "ada", "--json").json["items"] == []
    assert with_upstream("users", "unlink", login["id"]).code == 1


def test_somebody_is_invited_by_his_address(with_upstream):
    ran = with_upstream("users", "link", "ada", "--upstream", "acme", "--email", "ada@acme.example")
    assert "Invited ada@acme.example at acme" in ran.out
    made = with_upstream("users", "logins", "ada", "--json").json["items"][0]
    assert (made["state"], made["email"]) == ("invited", "ada@acme.example")
    assert with_upstream("users", "unlink", made["id"], "--json").json == {"id": made["id"], "unlinked": True}


@pytest.mark.parametrize(
    "words",
    [
        ("--upstream", "nowhere", "--subject", "00u1"), ("--upstream", "acme"),
        ("--upstream", "acme", "--email", "ada@other.example"),
        ("--upstream", "acme", "--subject", "00u1", "--email", "ada@acme.example"),
    ],
)  # fmt: skip
def test_what_cannot_be_linked_is_refused(with_upstream, words):
    assert with_upstream("users", "link", "ada", *words).code == 1


def test_the_settings_show_upstreams_and_none_of_their_secrets(with_upstream):
    shown = with_upstream("config", "show")
    assert "acme" in next(line for line in shown.out.splitlines() if line.startswith("upstream"))
    table = with_upstream("config", "show", "--json")
    assert table.json["upstream"]["value"]["acme"]["client_id"] == "doorward"
    assert table.json["upstream"]["origin"] == "doorward.toml"
    assert "canary" not in shown.out + table.out
