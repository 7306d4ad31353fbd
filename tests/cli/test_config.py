"""`doorward config`: every setting with its origin, and the verdict of a start."""


def row(ran, name):
    return next(line.split(maxsplit=2)[1:] for line in ran.out.splitlines() if line.startswith(f"{name} "))


def test_each_setting_names_where_it_came_from(run, tmp_path, monkeypatch):
    (tmp_path / "doorward.toml").write_text('port = 9000\nbrand = "filed"\n')
    (tmp_path / "data").mkdir(mode=0o700)
    (tmp_path / "data" / "served.json").write_text('{"port": 9001, "issuer": "https://auth.example.com"}')
    monkeypatch.setenv("DOORWARD__BRAND", "environ")
    ran = run("--data-dir", "data", "config", "show")
    assert row(ran, "data_dir") == ["data", "--data-dir"]
    assert row(ran, "port") == ["9000", "doorward.toml"]
    assert row(ran, "brand") == ["environ", "environment"]
    assert row(ran, "issuer") == ["https://auth.example.com", "the last serve (served.json)"]
    assert row(ran, "host") == ["localhost", "default"]


def test_secrets_are_told_as_the_fact_that_they_are_set(run, monkeypatch):
    monkeypatch.setenv("DOORWARD__PEPPER", "canary-pepper")
    monkeypatch.setenv("DOORWARD__DATABASE", "postgresql://doorward:canary-password@db/doorward?password=canary")
    for words in (("config", "show"), ("config", "show", "--json")):
        ran = run(*words)
        assert ran.code == 0
        assert "canary" not in ran.out + ran.err
    assert run("config", "show", "--json").json["pepper"] == {"value": "(set)", "origin": "environment"}
    assert run("config", "show", "--json").json["database"]["value"] == "postgresql://db/doorward"


def test_good_settings_are_called_good(run):
    assert run("config", "check").code == 0
    assert run("config", "check", "--json").json == {"good": True, "refusals": []}


def test_settings_that_no_server_would_start_with_fail_with_their_ways_out(run, tmp_path):
    (tmp_path / "a.toml").write_text('host = "0.0.0.0"\nno_tls = true\n')
    ran = run("--config", "a.toml", "config", "check")
    assert ran.code == 1
    assert "would send keys and tokens in the clear" in ran.out
    assert "  3. " in ran.out
    refusals = run("--config", "a.toml", "config", "check", "--json").json["refusals"]
    assert all(len(refusal["ways_out"]) == 3 for refusal in refusals)


def test_a_setting_that_does_not_exist_fails(run, tmp_path):
    (tmp_path / "a.toml").write_text("prot = 1\n")
    assert run("--config", "a.toml", "config", "check").code == 1
    assert run("--config", "a.toml", "config", "show").code == 2
