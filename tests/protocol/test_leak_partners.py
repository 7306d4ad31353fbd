"""Reports of platforms: who signed them, what they say, and what is said back."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from tests.protocol.given import KEY, refused

from doorward.protocol import leak_partners as partners
from doorward.protocol.leak import UNKNOWN, Known, Outcome

# GitHub's own examples of its partner programme, of today and of 2022, with the keys that they were signed by.
VECTORS = {
    "commit": (
        b'[{"source":"commit","token":"some_token","type":"some_type","url":"https://example.com/base-repo-url/"}]',
        b"MEQCIQDaMKqrGnE27S0kgMrEK0eYBmyG0LeZismAEz/BgZyt7AIfXt9fErtRS4XaeSt/AO1RtBY66YcAdjxji410VQV4xg==",
        "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEYAGMWO8XgCamYKMJS6jc/qgvSlAdAjPuDPRcXU22YxgBrz+zoN19MzuRyW87qEt9"
        "/AmtoNP5GrobzUvQSyJFVw==",
    ),
    "of 2022": (
        b'[{"token":"some_token","type":"some_type","url":"some_url"}]',
        b"MEUCIQDKZokqnCjrRtw0tni+2Ltvl/uiMJ1EGumEsp1BsNr32AIgQY1YXD2nlj+XNfGK4rBfkMJ1JDOQcYXxa2sY8FNkrKc=",
        "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE9MJJHnMfn2+H4xL4YaPDA4RpJqUqkCmRCBnYERxZanmcpzQSXs1X/AljlKkbJ8qp"
        "VIW4clayyef9gWhFbNHWAA==",
    ),
}


def pem(body: str) -> str:
    return f"-----BEGIN PUBLIC KEY-----\n{body}\n-----END PUBLIC KEY-----\n"


def published(body: str, key_id: str = "k1") -> Any:
    return {"public_keys": [{"key_identifier": key_id, "key": pem(body), "is_current": True}]}


@pytest.mark.parametrize("vector", VECTORS)
def test_a_report_as_github_signs_it_is_accepted(vector: str) -> None:
    body, signature, key = VECTORS[vector]
    keys = partners.public_keys(published(key))
    assert partners.is_signed(body, signature, keys["k1"])


@pytest.mark.parametrize("vector", VECTORS)
def test_any_other_bytes_are_not_what_was_signed(vector: str) -> None:
    body, signature, key = VECTORS[vector]
    (known,) = partners.public_keys(published(key)).values()
    for other in (body + b"\n", b" " + body, body.replace(b"some", b"Some", 1), json.dumps(json.loads(body)).encode()):
        assert not partners.is_signed(other, signature, known)
    for forged in (b"", b"x", b"!!!!", signature[:-4], base64.b64encode(bytes(64)), signature + b"AAAA"):
        assert not partners.is_signed(body, forged, known)
    (other_key,) = partners.public_keys(published(next(k for _, _, k in VECTORS.values() if k != key))).values()
    assert not partners.is_signed(body, signature, other_key)


def test_keys_of_another_curve_are_refused() -> None:
    raw = ec.generate_private_key(ec.SECP384R1()).public_key().public_bytes(
        Encoding.DER, PublicFormat.SubjectPublicKeyInfo
    )  # fmt: skip
    with pytest.raises(ValueError, match="P-256"):
        partners.public_keys(published(base64.b64encode(raw).decode()))


@pytest.mark.parametrize("document", [None, [], {}, {"public_keys": 1}, {"public_keys": [1]}, {"public_keys": [{}]},
                                      {"public_keys": [{"key_identifier": "k", "key": "x"}]}])  # fmt: skip
def test_a_list_of_keys_that_cannot_be_read_is_refused(document: Any) -> None:
    with pytest.raises(ValueError):
        partners.public_keys(document)


def test_a_report_says_what_was_found_where() -> None:
    (found,) = partners.parse(VECTORS["commit"][0], partners.GITHUB)
    assert (found.text, found.type, found.place) == ("some_token", "some_type", "https://example.com/base-repo-url/")
    (of_gitlab,) = partners.parse(b'[{"type":"t","token":"x","location":"https://l"}]', partners.GITLAB)
    assert of_gitlab.place == "https://l"


def test_the_url_may_be_missing_and_nothing_else_is_believed() -> None:
    found = partners.parse(b'[{"token":"x","type":7,"url":null,"source":"COMMIT","more":[1]}]', partners.GITHUB)
    assert [(one.type, one.place) for one in found] == [("7", "")]


@pytest.mark.parametrize("body", [b"", b"{}", b'{"token":"x"}', b"[1]", b"[{}]", b'[{"token":1}]', b"[", b"null",
                                  b'[],"more":[]', b'[{"token":"x","token":"y"}]', b"\xff"])  # fmt: skip
def test_what_is_no_list_of_reports_is_refused(body: bytes) -> None:
    with refused("invalid_request"):
        partners.parse(body, partners.GITHUB)


def test_the_type_that_a_platform_gives_is_not_believed() -> None:
    """Platforms swap them."""
    (report,) = partners.reports([partners.Found(KEY, "dw_client_secret", "")], partners.GITHUB, "dw")
    assert report.about.kind == "api_key"


def test_feedback_names_a_secret_by_its_digest() -> None:
    found = (partners.Found(KEY, "a", ""), partners.Found("x", "b", ""))
    outcomes = (Outcome("revoked", Known("api_key", "id", "key_1", "acme", ())), UNKNOWN)
    told = partners.feedback(found, outcomes)
    assert told[0] == {
        "token_hash": hashlib.sha256(KEY.encode()).hexdigest(), "token_type": "a", "label": "true_positive"
    }  # fmt: skip
    assert told[1]["label"] == "false_positive"
    assert KEY not in repr((found, told))
