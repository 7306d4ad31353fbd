"""Whom a command speaks to: flags, then the environment, then the data directory of this place."""

import pytest

from doorward.cli.failure import Failure
from doorward.cli.target import Local, Remote, choose

URL = "https://auth.example.com"
KEY = {"DOORWARD_ADMIN_KEY": "dwa_live_x"}


def refused(flags, environment):
    with pytest.raises(Failure) as failure:
        choose(flags, environment)
    return failure.value


@pytest.fixture
def profile(tmp_path):
    """Writes profiles.toml and gives the environment that finds it."""

    def profile(text, mode=0o600):
        path = tmp_path / "doorward" / "profiles.toml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        path.chmod(mode)
        return {"XDG_CONFIG_HOME": str(tmp_path)}

    return profile


def test_a_data_directory_that_was_named_wins_over_a_server_of_the_environment(tmp_path):
    environment = {"DOORWARD_URL": URL, **KEY}
    assert choose({"data_dir": tmp_path}, environment) == Local(tmp_path)
    assert choose({"config": tmp_path / "a.toml"}, environment) == Local(None, tmp_path / "a.toml")


def test_the_environment_names_a_server():
    assert choose({}, {"DOORWARD_URL": URL + "/", **KEY}) == Remote(URL, "dwa_live_x")


def test_a_flag_names_a_server():
    assert choose({"url": "https://other.example"}, {"DOORWARD_URL": URL, **KEY}).url == "https://other.example"


def test_a_data_directory_and_a_server_at_once_are_a_misuse(tmp_path):
    assert refused({"data_dir": tmp_path, "url": URL}, KEY).exit_code == 2


def test_without_a_key_nobody_is_authenticated():
    failure = refused({}, {"DOORWARD_URL": URL})
    assert failure.exit_code == 4
    assert "DOORWARD_ADMIN_KEY" in failure.text()


def test_a_key_that_cannot_stand_in_a_header_is_never_sent_nor_told():
    failure = refused({}, {"DOORWARD_URL": URL, "DOORWARD_ADMIN_KEY": "dwa\r\nx: y"})
    assert failure.exit_code == 4
    assert "dwa" not in failure.text()


def test_the_key_may_lie_in_a_file(tmp_path):
    (tmp_path / "key").write_text("dwa_live_y\n")
    chosen = choose({}, {"DOORWARD_URL": URL, "DOORWARD_ADMIN_KEY_FILE": str(tmp_path / "key")})
    assert chosen == Remote(URL, "dwa_live_y")


def test_the_key_is_not_in_the_repr():
    assert "dwa_live_x" not in repr(choose({}, {"DOORWARD_URL": URL, **KEY}))


@pytest.mark.parametrize("url", ["http://auth.example.com", "http://localhost.example.com", "http://10.0.0.1:8080"])
def test_no_key_is_sent_in_the_clear_beyond_this_machine(url):
    failure = refused({"url": url}, KEY)
    assert failure.exit_code == 2
    assert len(failure.ways_out) == 3


@pytest.mark.parametrize("url", ["http://localhost:8080", "http://127.0.0.1:8080", "http://[::1]:8080"])
def test_plain_http_on_this_machine_is_allowed(url):
    assert choose({"url": url}, KEY) == Remote(url, "dwa_live_x")


@pytest.mark.parametrize("url", ["auth.example.com", "ftp://a.example", "https://u:p@a.example", "https://a.example?x"])
def test_what_is_no_address_is_refused(url):
    assert refused({"url": url}, KEY).exit_code == 2


def test_the_ca_file_must_be_there(tmp_path):
    environment = {"DOORWARD_URL": URL, "DOORWARD_CA_FILE": str(tmp_path / "ca.pem"), **KEY}
    assert refused({}, environment).exit_code == 2
    (tmp_path / "ca.pem").write_text("")
    assert choose({}, environment) == Remote(URL, "dwa_live_x", tmp_path / "ca.pem")


def test_a_profile_names_server_key_and_ca(profile, tmp_path):
    (tmp_path / "ca.pem").write_text("")
    environment = profile(f'[prod]\nurl = "{URL}"\nadmin_key = "dwa_live_p"\nca_file = "{tmp_path}/ca.pem"\n')
    expected = Remote(URL, "dwa_live_p", tmp_path / "ca.pem")
    assert choose({"profile": "prod"}, environment | {"DOORWARD_URL": "https://other.example"} | KEY) == expected
    assert choose({}, environment | {"DOORWARD_PROFILE": "prod"}) == expected


def test_a_profile_without_a_key_takes_the_one_of_the_environment(profile):
    environment = profile(f'[prod]\nurl = "{URL}"\n')
    assert choose({"profile": "prod"}, environment | KEY) == Remote(URL, "dwa_live_x")
    assert refused({"profile": "prod"}, environment).exit_code == 4


def test_a_profile_with_a_key_that_others_can_read_is_refused(profile):
    environment = profile(f'[prod]\nurl = "{URL}"\nadmin_key = "dwa_live_p"\n', mode=0o644)
    failure = refused({"profile": "prod"}, environment)
    assert failure.exit_code == 2
    assert "chmod 600" in failure.text()


@pytest.mark.parametrize(
    "text", ["", "not toml", "[prod]\n", '[prod]\nurl = "https://a.example"\nkey = "x"\n', "prod = 1"]
)
def test_an_unusable_profile_is_a_misuse(profile, text):
    assert refused({"profile": "prod"}, profile(text) | KEY).exit_code == 2


def test_the_data_directory_of_this_place_comes_last(tmp_path):
    failure = refused({}, {})
    assert failure.exit_code == 4
    assert len(failure.ways_out) == 3
    assert choose({}, {}, start_here=True) == Local()
    (tmp_path / "doorward-data").mkdir()
    assert choose({}, {}) == Local()
