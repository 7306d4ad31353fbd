"""`doorward migrate`: the schema of this version, whatever was there."""


def test_an_empty_place_gets_the_schema_and_a_current_one_is_left(at):
    ran = at("migrate", "--json")
    assert (ran.code, ran.json["before"]) == (0, None)
    again = at("migrate", "--json").json
    assert again["before"] == again["now"] == ran.json["now"]
    assert at("migrate").out == f"The database is at {again['now']} already.\n"


def test_a_server_elsewhere_is_not_migrated_from_here(run, monkeypatch):
    monkeypatch.setenv("DOORWARD_URL", "https://auth.example.com")
    monkeypatch.setenv("DOORWARD_ADMIN_KEY", "dwa_live_x")
    assert run("migrate").code == 2
