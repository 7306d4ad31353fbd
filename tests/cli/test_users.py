"""`doorward users`: nobody ever types somebody's password here; users choose theirs by a link."""

from __future__ import annotations

import re

LINK = re.compile(r"https://localhost:8443/reset#token=[0-9A-Za-z]{43}")


def test_a_user_is_made_with_a_link_to_choose_a_password(acme):
    ran = acme("users", "create", "ada", "--email", "ada@example.com", "--email-verified", "--account", "acme")
    assert (ran.code, ran.err) == (0, "")
    assert len(LINK.findall(ran.out)) == 1
    shown = acme("users", "show", "ADA", "--json").json
    assert (shown["username"], shown["email_verified"], shown["password_changed_at"]) == ("ada", True, None)
    assert shown["accounts"] == [{"account": "acme", "role": "developer"}]
    assert "not chosen yet" in acme("users", "show", "ada").out
    assert "ada" in acme("users", "list").out


def test_the_object_has_the_link_too(acme):
    made = acme("users", "create", "ada", "--role", "administrator", "--json").json
    assert made["role"] == "administrator"
    assert LINK.fullmatch(made["link"])


def test_a_link_is_made_anew_as_often_as_it_is_asked_for(acme):
    first = acme("users", "create", "ada", "--json").json["link"]
    ran = acme("users", "reset-password", "Ada")
    (second,) = LINK.findall(ran.out)
    assert first != second
    assert acme("users", "reset-password", "ada", "--json").json["link"] not in (first, second)


def test_a_user_is_disabled_and_enabled(acme):
    acme("users", "create", "ada")
    assert acme("users", "disable", "ada", "--json").json["state"] == "disabled"
    ran = acme("users", "reset-password", "ada")
    assert (ran.code, "disabled" in ran.err) == (1, True)
    assert acme("users", "enable", "ada", "--json").json["state"] == "active"


def test_one_way_to_end_everything_ends_a_user_too(acme):
    made = acme("users", "create", "ada", "--json").json
    ended = acme("revoke", "--user", "ada", "--json").json
    assert ended == {"kind": "user", "id": made["id"], "changed": True}
    assert acme("users", "show", "ada", "--json").json["state"] == "disabled"
    assert acme("revoke", "--user", made["id"], "--json").json["changed"] is False


def test_a_name_is_taken_once(acme):
    acme("users", "create", "ada")
    ran = acme("users", "create", "ADA")
    assert (ran.code, "exists already" in ran.err) == (1, True)


def test_a_user_joins_an_account_in_a_role(acme):
    acme("users", "create", "ada", "--account", "acme", "--account-role", "viewer")
    assert acme("users", "show", "ada", "--json").json["accounts"] == [{"account": "acme", "role": "viewer"}]
    assert "acme (viewer)" in acme("users", "show", "ada").out


def test_what_is_wrong_is_said(acme):
    assert acme("users", "create", "ada", "--account-role", "king").code == 2
    ran = acme("users", "create", "ada", "--email", "nowhere")
    assert (ran.code, "e-mail address" in ran.err) == (1, True)
    assert acme("users", "create", "ada", "--email-verified").code == 1
    for words in (("show",), ("disable",), ("enable",), ("reset-password",)):
        assert acme("users", *words, "nobody").code == 1


def test_no_password_is_ever_asked_for(acme):
    """Neither as an option nor on a terminal."""
    assert acme("users", "create", "ada", "--password", "x").code == 2
    ran = acme("users", "create", "ada", terminal=True)
    assert (ran.code, "assword:" in ran.out + ran.err) == (0, False)
