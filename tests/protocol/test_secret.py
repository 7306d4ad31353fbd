"""Secrets are recognisable, shown once and kept as a MAC under a pepper that the database does not hold: T160."""

from __future__ import annotations

import hashlib
import hmac
import re
from dataclasses import replace

import pytest
from tests.protocol.given import EARLIER, KEY, NOW, PEPPER, Counted, a_moment, a_secret, kept

from doorward.protocol.secret import Pepper, Secret, mint, prefix
from doorward_verify import api_key

KINDS = ["", "a", "s", "r", "o", "g"]


def minted(kind: str = "", environment: str = "live", brand: str = "dw", pepper: Pepper = PEPPER) -> tuple[str, Secret]:
    return mint(kind, environment, "key_1", brand=brand, pepper=pepper, moment=a_moment())


@pytest.mark.parametrize("environment", ["live", "test"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_secret_shows_brand_kind_and_environment(kind: str, environment: str) -> None:
    text, secret = minted(kind, environment, "acme9")
    assert re.fullmatch(rf"acme9{kind}_{environment}_[0-9A-Za-z]{{50}}", text)
    assert api_key.parse(text, "acme9") == api_key.Parsed("acme9", kind, environment, secret.id)


def test_the_id_of_what_is_kept_is_the_one_in_the_text() -> None:
    text, secret = minted()
    assert text.split("_")[2].startswith(secret.id)
    assert len(secret.id) == 12
    assert prefix(secret, "dw") == f"dw_live_{secret.id}"
    assert text.startswith(prefix(secret, "dw"))


def test_what_is_kept_is_the_mac_of_the_digest_under_the_current_pepper() -> None:
    text, secret = minted("s")
    digest = hashlib.sha256(text.encode()).digest()
    assert secret.mac == hmac.digest(b"2" * 32, digest, "sha256")
    assert (secret.pepper_version, secret.owner_id, secret.kind) == (2, "key_1", "s")
    assert (secret.created_at, secret.expires_at, secret.revoked_at) == (NOW, None, None)


def test_no_two_secrets_are_the_same() -> None:
    moment = a_moment()
    texts = {mint("", "live", "", brand="dw", pepper=PEPPER, moment=moment)[0] for _ in range(200)}
    assert len(texts) == len({text[8:20] for text in texts}) == len({text[20:52] for text in texts}) == 200


def test_neither_secret_nor_pepper_is_shown_in_a_repr() -> None:
    text, secret = minted()
    shown = f"{secret!r} {PEPPER!r}"
    assert text not in shown
    assert repr(secret.mac)[2:-1] not in shown
    assert "1111" not in shown
    assert "2222" not in shown


def test_a_secret_matches_its_own_digest_alone() -> None:
    digest = api_key.digest(KEY)
    assert PEPPER.matches(digest, kept(KEY, "key_1"))
    assert not PEPPER.matches(api_key.digest(a_secret(seed="other")), kept(KEY, "key_1"))
    assert not PEPPER.matches(digest[:-1] + bytes([digest[-1] ^ 1]), kept(KEY, "key_1"))


def test_nothing_matches_an_absent_secret() -> None:
    nobody = Pepper({1: b"1" * 32}, 1)
    digest = api_key.digest(KEY)
    assert not nobody.matches(digest, None)
    assert not nobody.matches(bytes(32), None)


def test_an_absent_secret_costs_the_same_work() -> None:
    for secret in (kept(KEY, "key_1"), kept(a_secret(seed="other"), "key_1"), None):
        peppers = Counted(PEPPER.versions)
        Pepper(peppers, 2).matches(api_key.digest(KEY), secret)
        assert peppers.fetched == 1


def test_a_secret_stays_good_under_the_pepper_it_was_made_with() -> None:
    text, secret = minted(pepper=Pepper({1: b"1" * 32}, 1))
    assert secret.pepper_version == 1
    assert PEPPER.matches(api_key.digest(text), secret)
    assert not PEPPER.matches(api_key.digest(text), replace(secret, pepper_version=2))


def test_a_secret_dies_with_its_pepper() -> None:
    text, secret = minted()
    assert not Pepper({1: b"1" * 32}, 1).matches(api_key.digest(text), secret)


def test_a_digest_is_looked_for_under_every_pepper_the_current_one_first() -> None:
    digest = api_key.digest(KEY)
    one, two = (hmac.digest(pepper * 32, digest, "sha256") for pepper in (b"1", b"2"))
    assert PEPPER.macs(digest) == [two, one]
    assert Pepper(PEPPER.versions, 1).macs(digest) == [one, two]
    assert PEPPER.mac(digest) == two


@pytest.mark.parametrize(
    ("expires_at", "revoked_at", "is_live"),
    [(None, None, True), (NOW + 1, None, True), (NOW, None, False), (None, EARLIER, False), (NOW + 1, NOW + 1, False)],
)
def test_a_secret_lives_until_it_expires_or_is_revoked(
    expires_at: int | None, revoked_at: int | None, is_live: bool
) -> None:
    assert kept(KEY, "key_1", expires_at=expires_at, revoked_at=revoked_at).is_live(NOW) is is_live
