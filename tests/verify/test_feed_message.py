"""What the feed says, read strictly: who is heard, and what is believed of it."""

from __future__ import annotations

from typing import Any

import pytest
from tests.verify.issuing import AUDIENCE, ISSUER, NOW, dumps, ec_key, header, jwks, signed

from doorward_verify import feed_message, jwt
from doorward_verify.errors import InvalidToken, KeyUnknown
from doorward_verify.feed_message import FeedEndpoints
from doorward_verify.feed_state import Heartbeat

FEED = ec_key("feed-1")
KEYS = jwt.keys_from_jwks(jwks(FEED))
ENTRY = {"pos": "1:2", "prev": "1:0", "kind": "token", "value": "a", "effect": "dead", "exp": NOW}
METADATA = {"revocations_endpoint": "https://a/r", "revocations_stream_endpoint": "https://a/s",
            "revocations_jwks_uri": "https://a/j"}  # fmt: skip


def heartbeat(head: dict[str, Any] | None = None, key: Any = FEED, **changes: Any) -> Heartbeat:
    claims = {"iss": ISSUER, "aud": AUDIENCE, "iat": NOW, "pos": "1:9", "last": "1:2", **changes}
    claims = {name: value for name, value in claims.items() if value is not ...}
    text = signed(key, dumps(header(key, **{"typ": "feed+jwt", "kid": "feed-1", **(head or {})})), dumps(claims))
    return feed_message.heartbeat(text, KEYS, issuer=ISSUER, audience=AUDIENCE)


def test_a_heartbeat_says_how_far_it_is() -> None:
    assert heartbeat() == Heartbeat((1, 9), (1, 2), NOW)


@pytest.mark.parametrize("typ", ["at+jwt", "JWT", "feed", "FEED+JWT", ...], ids=str)
def test_no_other_jwt_is_a_heartbeat(typ: Any) -> None:
    with pytest.raises(InvalidToken):
        heartbeat({"typ": typ})


def test_a_heartbeat_that_the_feed_did_not_sign_is_none() -> None:
    with pytest.raises(InvalidToken):
        heartbeat(key=ec_key("thief"))


def test_a_key_that_is_not_of_the_feed_is_unknown() -> None:
    with pytest.raises(KeyUnknown):
        heartbeat({"kid": "ec-1"})


@pytest.mark.parametrize(
    "changes",
    [{"iss": "https://a"}, {"iss": f"{ISSUER}/"}, {"iss": ...}, {"aud": [AUDIENCE]}, {"aud": "https://a"}, {"aud": ...},
     {"iat": str(NOW)}, {"iat": True}, {"iat": ...}, {"pos": "1"}, {"pos": ...}, {"last": 1}, {"last": ...}],
    ids=str,
)  # fmt: skip
def test_a_heartbeat_for_others_or_without_its_claims_is_none(changes: dict[str, Any]) -> None:
    with pytest.raises((InvalidToken, ValueError)):
        heartbeat(**changes)


def test_a_snapshot_is_its_position_and_its_entries() -> None:
    told = feed_message.told({"pos": "1:9", "entries": [ENTRY]})
    assert told.position == (1, 9)
    assert [entry.value for entry in told.entries] == ["a"]


@pytest.mark.parametrize("document", [{}, {"pos": "1:1"}, {"pos": "1:1", "entries": {}}, {"entries": []},
                                      {"pos": "1:1", "entries": [ENTRY, {**ENTRY, "kind": "?"}]}], ids=str)  # fmt: skip
def test_a_snapshot_of_which_a_part_is_not_understood_is_none(document: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        feed_message.told(document)


def test_an_entry_is_one_object_without_repetitions() -> None:
    assert feed_message.entry(dumps(ENTRY).decode()).value == "a"
    for text in ("[]", "", '{"pos": "1:2", "pos": "1:3"}'):
        with pytest.raises(ValueError):
            feed_message.entry(text)


def test_the_metadata_say_where_the_feed_is() -> None:
    assert feed_message.endpoints(METADATA) == FeedEndpoints("https://a/r", "https://a/s", "https://a/j")


@pytest.mark.parametrize("name", METADATA)
@pytest.mark.parametrize("value", [None, 1, ["https://a"]])
def test_an_issuer_that_does_not_name_all_of_it_has_no_feed(name: str, value: Any) -> None:
    assert feed_message.endpoints({**METADATA, name: value}) is None
