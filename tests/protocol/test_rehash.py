"""A key that was known by a slow hash alone is known by a MAC once it was shown."""

from __future__ import annotations

from dataclasses import replace

from tests.protocol.given import KEY, PEPPER, POLICY, a_key, a_moment

from doorward.protocol import rehash
from doorward.protocol.key_events import ApiKeyRehashed
from doorward.protocol.rehash import Rehash, Shown
from doorward_verify import api_key

TEXT = "ab12cd34.4f9d8c7b6a5e4d3c2b1a0f9e8d7c"
SLOW = replace(a_key(), secret=replace(a_key().secret, legacy="ab12cd34", bcrypt="$2b$hash", mac=b"none"))


def test_the_mac_takes_the_place_of_the_hash() -> None:
    request = Rehash("secret", "$2b$hash", api_key.digest(TEXT))
    (event,) = rehash.decide(request, SLOW, POLICY, a_moment()).events
    assert isinstance(event, ApiKeyRehashed)
    assert event.secret == replace(SLOW.secret, bcrypt=None, mac=PEPPER.mac(api_key.digest(TEXT)))


def test_another_hash_than_the_one_that_matched_stays() -> None:
    for facts in (None, a_key(), replace(SLOW, secret=replace(SLOW.secret, bcrypt="$2b$other"))):
        assert rehash.decide(Rehash("secret", "$2b$hash", b""), facts, POLICY, a_moment()).events == ()


def test_a_text_that_bcrypt_would_not_read_to_its_end_is_found_by_nothing() -> None:
    assert "ab12cd34" in Shown(TEXT).prefixes
    assert Shown("ab12cd34" + "x" * 64).prefixes != []
    assert Shown("ab12cd34" + "x" * 65).prefixes == []


def test_a_text_is_in_no_repr() -> None:
    assert KEY not in repr(Shown(KEY))
