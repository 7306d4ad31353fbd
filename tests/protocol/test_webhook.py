"""Webhook messages: what they tell, and that whoever knows the secret knows whose they are."""

from __future__ import annotations

import base64
import json

import pytest
from tests.protocol.given import KEY, NOW, a_leak, an_api_key

from doorward.protocol import leak, webhook

# Of the reference libraries of Standard Webhooks.
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
SIGNATURE = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
OTHER = "whsec_" + base64.b64encode(bytes(range(32))).decode()


def test_a_message_is_signed_as_the_specification_says() -> None:
    fields = webhook.headers(
        "msg_p5jXN8AQM9LWM0D4loKWxJek", b'{"test": 2432232314}', webhook.secrets(SECRET), 1614265330
    )
    assert fields == {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek", "webhook-timestamp": "1614265330", "webhook-signature": SIGNATURE,
    }  # fmt: skip


def test_while_secrets_change_both_of_them_sign() -> None:
    fields = webhook.headers("msg_1", b"{}", webhook.secrets(f"{OTHER} {SECRET}"), NOW)
    alone = [webhook.headers("msg_1", b"{}", webhook.secrets(one), NOW) for one in (OTHER, SECRET)]
    assert fields["webhook-signature"].split(" ") == [one["webhook-signature"] for one in alone]


@pytest.mark.parametrize(
    "text",
    ["", "  ", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_", "whsec_AAAA", "whsec_" + "A" * 100, "whsec_*" + "A" * 31,
     f"{SECRET} whsec_"],
)  # fmt: skip
def test_what_is_no_secret_of_a_webhook_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        webhook.secrets(text)


def test_a_message_keeps_its_id_and_another_occasion_has_another() -> None:
    same, again, later, other = (
        webhook.id_of(*about) for about in (("key_1", "decoy", 1), ("key_1", "decoy", 1), ("key_1", "decoy", 2),
                                            ("key_1", "leak", 1))
    )  # fmt: skip
    assert same == again
    assert len({same, later, other}) == 3


def test_a_leak_is_told_with_where_and_what_became_of_it_and_without_the_secret() -> None:
    told = webhook.of_leak("msg_1", NOW, a_leak(), "acme").body("2026-11-24T22:39:59Z")
    assert json.loads(told) == {
        "type": "api_key.leaked",
        "timestamp": "2026-11-24T22:39:59Z",
        "data": {
            "leak": a_leak().id, "credential": "api_key", "id": "key_1", "secret": a_leak().credential_id,
            "prefix": f"acme_live_{a_leak().credential_id}", "account": "acme", "outcome": "revoked",
            "origin": "github", "locations": ["a fork"],
        },
    }  # fmt: skip
    assert KEY[-38:].encode() not in told


def test_every_kind_that_leaks_has_a_type() -> None:
    assert set(webhook.LEAKED) == set(leak.KINDS)
    told = webhook.of_leak("msg_1", NOW, a_leak(credential="jwt"), "dw")
    assert (told.type, told.data["prefix"]) == ("token.leaked", None)


def test_a_decoy_that_was_tried_is_told_with_who_saw_it() -> None:
    told = webhook.of_decoy("msg_1", NOW, an_api_key(name="build server"), "verifier_1")
    assert told.type == "decoy.tried"
    assert told.data == {"id": "key_1", "name": "build server", "account": "acme", "tried_by": "verifier_1"}


def test_a_key_that_ends_soon_is_told_with_its_day_and_its_last_use() -> None:
    told = webhook.of_expiry("msg_1", NOW, an_api_key(name="build server", expires_at=NOW + 60), 7, NOW - 5)
    assert told.type == "api_key.expiring"
    assert told.data == {
        "id": "key_1", "name": "build server", "account": "acme", "expires_at": NOW + 60, "days": 7,
        "last_used_at": NOW - 5,
    }  # fmt: skip
