"""What is learned from the issuer, over real connections: discovery, keys, introspection, and what goes wrong."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.verify.issuer_server import INTROSPECTION, JWKS, METADATA, OPENID, Issuer, Reply, certificates
from tests.verify.issuing import ec_key, jwks, rsa_key
from tests.verify.waiting import DEADLINE, Clock, at_once, until, waiters

from doorward_verify import source as sources
from doorward_verify.errors import Misconfigured, Unavailable
from doorward_verify.source import Source

MakeSource = Callable[..., Source]


@pytest.fixture
def source_of(clock: Clock) -> Iterator[MakeSource]:
    made: list[Source] = []

    def make(issuer: str, **options: Any) -> Source:
        source = Source(issuer, **{"credentials": ("verifier_1", "s3cret"), "monotonic": clock.monotonic, **options})
        made.append(source)
        return source

    yield make
    for source in made:
        source.close()


@pytest.fixture
def source(issuer: Issuer, source_of: MakeSource) -> Source:
    return source_of(issuer.url)


def unavailable(call: Callable[[], object]) -> str:
    with pytest.raises(Unavailable) as refused:
        call()
    return refused.value.reason


class TestDiscovery:
    def test_keys_are_found_through_the_metadata(self, issuer: Issuer, source: Source) -> None:
        assert source.keys().keys() == {"ec-1", "rsa-1"}
        assert issuer.counts == {METADATA: 1, JWKS: 1}

    def test_metadata_is_read_once_for_keys_and_introspection(self, issuer: Issuer, source: Source) -> None:
        source.keys()
        source.introspect({"token": "a"})
        source.introspect({"token": "b"})
        assert issuer.counts == {METADATA: 1, JWKS: 1, INTROSPECTION: 2}

    def test_an_issuer_with_openid_metadata_only_is_found_too(self, issuer: Issuer, source: Source) -> None:
        issuer.replies[OPENID] = issuer.replies.pop(METADATA)
        assert source.keys()
        assert issuer.counts[OPENID] == 1

    def test_an_issuer_with_a_path_has_its_metadata_before_it(self, clock: Clock, source_of: MakeSource) -> None:
        issuer = Issuer(path="/tenant")
        issuer.publish(jwks(ec_key()))
        try:
            assert source_of(issuer.url).keys()
            assert issuer.counts[f"{METADATA}/tenant"] == 1
        finally:
            issuer.stop()

    @pytest.mark.parametrize(
        ("issuer", "oauth", "openid"),
        [
            ("https://a.example", f"https://a.example{METADATA}", f"https://a.example{OPENID}"),
            ("https://a.example/", f"https://a.example{METADATA}", f"https://a.example{OPENID}"),
            ("https://a.example/b", f"https://a.example{METADATA}/b", f"https://a.example/b{OPENID}"),
            ("https://a.example:8443/b/", f"https://a.example:8443{METADATA}/b", f"https://a.example:8443/b{OPENID}"),
        ],
    )
    def test_metadata_lies_where_the_specifications_say(self, issuer: str, oauth: str, openid: str) -> None:
        assert sources.well_known(issuer) == (oauth, openid)

    @pytest.mark.parametrize(
        "changes",
        [{"issuer": "https://thief.example"}, {"issuer": None}, {"issuer": "http://localhost"}, {"jwks_uri": None},
         {"jwks_uri": 1}, {"introspection_endpoint": ["a"]}, {"jwks_uri": "http://thief.example/jwks"},
         {"jwks_uri": "file:///etc/passwd"}, {"jwks_uri": "//localhost/jwks"}],
        ids=str,
    )  # fmt: skip
    def test_metadata_that_names_another_issuer_or_odd_places_is_refused(
        self, issuer: Issuer, source: Source, changes: dict[str, Any]
    ) -> None:
        issuer.replies[METADATA] = Reply(issuer.metadata(**changes))
        assert unavailable(source.keys) == "server_unreachable"
        assert JWKS not in issuer.counts

    def test_old_metadata_is_better_than_none(self, issuer: Issuer, source: Source, clock: Clock) -> None:
        source.keys()
        clock.advance(3600)
        issuer.replies[METADATA] = Reply({}, 500)
        source.introspect({"token": "a"})
        assert issuer.counts[METADATA] == 2

    @pytest.mark.parametrize(
        "url",
        ["http://auth.example.com", "http://10.0.0.1", "ftp://localhost", "auth.example.com", "", "https://", "https:///a",
         "https://u:p@auth.example.com", "https://auth.example.com#a", "https://auth.example.com?a=b",
         "http://localhost.evil.example", "http://127.0.0.1.evil.example", "https://auth.example.com:99999",
         "https://auth example.com", "https://auth.example.com\n", "https://žofie.example", "http://2130706433"],
    )  # fmt: skip
    def test_an_issuer_is_https_or_loopback(self, url: str) -> None:
        with pytest.raises(Misconfigured):
            Source(url)

    @pytest.mark.parametrize(
        "url", ["http://localhost:8080", "http://127.0.0.1", "http://[::1]:80/a", "https://a.example"]
    )
    def test_a_loopback_issuer_may_be_http(self, url: str) -> None:
        assert Source(url).issuer == url


class TestKeys:
    def test_a_cold_start_of_many_threads_reads_once(self, issuer: Issuer, source: Source) -> None:
        issuer.gate.clear()
        racers = at_once(*[source.keys] * 8)
        until(lambda: waiters(source._reading) == 7)
        issuer.gate.set()
        assert {frozenset(racer.result(DEADLINE)) for racer in racers} == {frozenset({"ec-1", "rsa-1"})}
        assert issuer.counts == {METADATA: 1, JWKS: 1}

    def test_an_unknown_kid_is_looked_for_once_in_30_seconds(
        self, issuer: Issuer, source: Source, clock: Clock
    ) -> None:
        source.keys()
        issuer.publish(jwks(ec_key("new")))
        for _ in range(100):
            assert source.keys_again().keys() == {"new"}
        assert issuer.counts[JWKS] == 2
        clock.advance(29.9)
        source.keys_again()
        assert issuer.counts[JWKS] == 2
        clock.advance(0.1)
        source.keys_again()
        assert issuer.counts[JWKS] == 3

    def test_many_threads_with_unknown_kids_read_once_and_all_get_the_new_key(
        self, issuer: Issuer, source: Source
    ) -> None:
        source.keys()
        issuer.publish(jwks(ec_key("new")))
        issuer.gate.clear()
        racers = at_once(*[source.keys_again] * 8)
        until(lambda: waiters(source._reading) == 7)
        issuer.gate.set()
        assert [list(racer.result(DEADLINE)) for racer in racers] == [["new"]] * 8
        assert issuer.counts[JWKS] == 2

    @pytest.mark.parametrize(
        "reply",
        [Reply({}, 500), Reply(b"not json"), Reply(b"[]"), Reply({}), Reply({"keys": None}), Reply({"keys": {}}),
         Reply(b'{"keys":[],"keys":[]}'), Reply(b'{"keys":[' + b" " * 2**20 + b"]}"),
         Reply({}, 302, {"location": "/x"})],
    )  # fmt: skip
    def test_old_keys_are_kept_when_reading_fails(
        self, issuer: Issuer, source: Source, clock: Clock, reply: Reply
    ) -> None:
        before = source.keys()
        issuer.replies[JWKS] = reply
        assert unavailable(source.keys_again) == "server_unreachable"
        assert unavailable(source.keys_again) == "server_unreachable"
        assert issuer.counts[JWKS] == 2
        assert source.keys_at_hand() is before

    def test_a_set_without_usable_keys_takes_the_old_ones_away(self, issuer: Issuer, source: Source) -> None:
        assert source.keys()
        issuer.publish({"keys": []})
        assert source.keys_again() == {}
        assert source.keys_at_hand() == {}

    def test_after_their_max_age_keys_are_read_in_the_background(
        self, issuer: Issuer, source: Source, clock: Clock
    ) -> None:
        issuer.publish(jwks(ec_key()), cache_control="public, max-age=120")
        source.keys()
        issuer.publish(jwks(rsa_key()))
        clock.advance(119)
        assert source.keys_at_hand().keys() == {"ec-1"}  # type: ignore[union-attr]
        assert issuer.counts[JWKS] == 1
        clock.advance(1)
        issuer.gate.clear()
        assert source.keys_at_hand().keys() == {"ec-1"}  # type: ignore[union-attr]
        assert source.keys_at_hand().keys() == {"ec-1"}  # type: ignore[union-attr]
        issuer.gate.set()
        until(lambda: source._held is not None and source._held.keys.keys() == {"rsa-1"})
        assert issuer.counts[JWKS] == 2

    def test_the_background_tries_at_most_once_in_30_seconds(
        self, source: Source, clock: Clock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        started: list[float] = []
        monkeypatch.setattr(source, "_read_in_background", lambda: started.append(clock.uptime))
        source.keys()
        clock.advance(300)
        for seconds in (0, 0, 29.9, 0.1, 0):
            clock.advance(seconds)
            assert source.keys_at_hand()
        assert [at - started[0] for at in started] == [0, 30]

    @pytest.mark.parametrize(
        ("header", "seconds"),
        [("max-age=5", 60), ("max-age=999999", 3600), ("max-age=600", 600), ("no-store", 300), ("", 300),
         ("max-age=-1", 300), ("max-age=x", 300), ("public, max-age=90, must-revalidate", 90)],
    )  # fmt: skip
    def test_the_max_age_is_kept_within_bounds(self, header: str, seconds: int) -> None:
        assert sources._max_age({"cache-control": header}) == seconds

    def test_keys_serve_for_24_hours_without_the_issuer_and_then_no_more(
        self, issuer: Issuer, source: Source, clock: Clock
    ) -> None:
        source.keys()
        issuer.stop()
        clock.advance(24 * 3600 - 1)
        assert source.keys_at_hand()
        assert source.keys()
        clock.advance(1)
        assert source.keys_at_hand() is None
        assert unavailable(source.keys) == "server_unreachable"

    def test_an_issuer_that_is_away_is_tried_once_a_second(self, issuer: Issuer, source: Source, clock: Clock) -> None:
        issuer.drops_connections = True
        for _ in range(20):
            unavailable(source.keys)
        assert issuer.counts[METADATA] == 1
        clock.advance(1)
        issuer.drops_connections = False
        assert source.keys()

    def test_no_thread_can_be_started_and_nothing_breaks(
        self, source: Source, clock: Clock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def full(_: object) -> None:
            raise RuntimeError("can't start new thread")

        source.keys()
        clock.advance(400)
        monkeypatch.setattr("threading.Thread.start", full)
        assert source.keys_at_hand()


class TestIntrospection:
    def test_the_question_is_a_form_and_the_verifier_authenticates_by_basic(
        self, issuer: Issuer, source_of: MakeSource
    ) -> None:
        source_of(issuer.url, credentials=("ver:1 ü", "a b+%é")).introspect({"token_sha256": "a_-"})
        assert issuer.questions == [{"token_sha256": "a_-"}]
        # base64 of ver%3A1+%C3%BC:a+b%2B%25%C3%A9
        assert issuer.authorizations == ["Basic dmVyJTNBMSslQzMlQkM6YStiJTJCJTI1JUMzJUE5"]

    def test_an_active_answer_is_its_members(self, issuer: Issuer, source: Source) -> None:
        issuer.replies[INTROSPECTION] = Reply({"active": True, "sub": "a"}, headers={"doorward-position": "2:17"})
        answer = source.introspect({"token": "a"})
        assert (answer.claims, answer.position) == ({"sub": "a"}, (2, 17))

    def test_an_inactive_answer_says_nothing_more(self, issuer: Issuer, source: Source) -> None:
        issuer.replies[INTROSPECTION] = Reply({"active": False, "sub": "a"})
        answer = source.introspect({"token": "a"})
        assert (answer.claims, answer.position) == (None, None)

    @pytest.mark.parametrize("position", ["", "1", "a:b", "1:2:3", "-1:2", "1:2 ", "1" * 30 + ":1"])
    def test_a_malformed_position_is_none(self, position: str) -> None:
        assert sources._position({"doorward-position": position}) is None

    @pytest.mark.parametrize("status", [401, 403])
    def test_refused_credentials_are_no_word_about_the_caller(
        self, issuer: Issuer, source: Source, status: int
    ) -> None:
        issuer.replies[INTROSPECTION] = Reply({"error": "invalid_client"}, status)
        assert unavailable(lambda: source.introspect({"token": "a"})) == "verifier_refused"

    @pytest.mark.parametrize(
        "reply",
        [Reply({}), Reply({"active": "true"}), Reply({"active": 1}), Reply({"active": None}), Reply([True]), Reply(b""),
         Reply(b"true"), Reply(b'{"active":false,"active":true}'), Reply({"active": True}, 201),
         Reply({"active": True}, 500), Reply({"active": True}, 302, {"location": "/introspect"}),
         Reply(b'{"active":true,"exp":NaN}')],
    )  # fmt: skip
    def test_an_answer_that_makes_no_sense_is_no_answer(self, issuer: Issuer, source: Source, reply: Reply) -> None:
        issuer.replies[INTROSPECTION] = reply
        assert unavailable(lambda: source.introspect({"token": "a"})) == "server_unreachable"

    def test_an_issuer_without_introspection_cannot_be_asked(self, issuer: Issuer, source: Source) -> None:
        issuer.replies[METADATA] = Reply(issuer.metadata(introspection_endpoint=None))
        assert unavailable(lambda: source.introspect({"token": "a"})) == "verifier_unconfigured"


class TestConnections:
    def test_a_connection_is_used_again(self, issuer: Issuer, source: Source) -> None:
        for _ in range(10):
            source.introspect({"token": "a"})
        assert issuer.connections == 1

    def test_a_connection_that_the_server_closed_is_replaced(self, issuer: Issuer, source: Source) -> None:
        source.introspect({"token": "a"})
        issuer.stop()
        issuer.start_again()
        source.introspect({"token": "a"})
        assert issuer.connections == 2

    def test_after_it_was_closed_no_connection_is_kept(self, issuer: Issuer, source: Source) -> None:
        source.introspect({"token": "a"})
        source.close()
        for _ in range(3):
            source.introspect({"token": "a"})
        assert issuer.connections == 4

    def test_an_answer_that_is_too_long_is_not_read_on(self, issuer: Issuer, source: Source) -> None:
        issuer.replies[INTROSPECTION] = Reply(b'{"active":true,"x":"' + b"a" * 2**20 + b'"}')
        assert unavailable(lambda: source.introspect({"token": "a"})) == "server_unreachable"

    def test_an_answer_that_was_cut_off_is_no_answer(self, issuer: Issuer, source: Source) -> None:
        issuer.replies[INTROSPECTION] = Reply(
            b'{"active":true}', headers={"content-length": "400", "connection": "close"}
        )
        assert unavailable(lambda: source.introspect({"token": "a"})) == "server_unreachable"

    def test_the_cause_is_kept_for_the_log(
        self, issuer: Issuer, source: Source, caplog: pytest.LogCaptureFixture
    ) -> None:
        issuer.stop()
        unavailable(source.keys)
        assert "refused" in caplog.text


class TestTLS:
    @pytest.fixture
    def secured(self, tmp_path: Path) -> Iterator[tuple[Issuer, str]]:
        ca_file, context = certificates(tmp_path)
        issuer = Issuer(context)
        issuer.publish(jwks(ec_key()))
        yield issuer, str(ca_file)
        issuer.stop()

    def test_a_private_ca_is_trusted_when_it_is_named(self, secured: tuple[Issuer, str], source_of: MakeSource) -> None:
        issuer, ca_file = secured
        source = source_of(issuer.url, ca_file=ca_file)
        assert source.keys().keys() == {"ec-1"}
        source.introspect({"token": "a"})

    def test_a_private_ca_is_not_trusted_otherwise(self, secured: tuple[Issuer, str], source_of: MakeSource) -> None:
        issuer, _ = secured
        with pytest.raises(Unavailable) as refused:
            source_of(issuer.url).keys()
        assert isinstance(refused.value.__cause__, ssl.SSLCertVerificationError)
        assert issuer.counts == {}

    def test_a_certificate_for_another_name_is_not_trusted(
        self, secured: tuple[Issuer, str], source_of: MakeSource
    ) -> None:
        issuer, ca_file = secured
        with pytest.raises(Unavailable) as refused:
            source_of(issuer.url.replace("localhost", "127.0.0.1"), ca_file=ca_file).keys()
        assert isinstance(refused.value.__cause__, ssl.SSLCertVerificationError)

    @pytest.mark.parametrize("text", ["", "not a certificate"])
    def test_a_ca_file_that_cannot_be_used_is_noticed_at_once(self, tmp_path: Path, text: str) -> None:
        (tmp_path / "ca.pem").write_text(text)
        for name in ("ca.pem", "missing.pem"):
            with pytest.raises(Misconfigured, match="CA file"):
                Source("https://auth.example.com", ca_file=str(tmp_path / name))
