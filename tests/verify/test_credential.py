"""The one credential of a request, and what kind of text it is."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.verify.issuing import token

from doorward_verify import api_key, credential
from doorward_verify.errors import CredentialMissing, DoorwardError, InvalidRequest, InvalidToken

KEY = api_key.assemble("dw", "", "live", "a" * 12, "b" * 32)
Headers = list[tuple[bytes, bytes]]


def bearer(value: bytes) -> Headers:
    return [(b"host", b"api.example.com"), (b"authorization", value), (b"accept", b"*/*")]


@pytest.mark.parametrize(
    "headers",
    [
        bearer(b"Bearer " + KEY.encode()),
        bearer(b"bearer " + KEY.encode()),
        bearer(b"BEARER   " + KEY.encode()),
        bearer(b"Bearer secret-token:" + KEY.encode()),
        [(b"x-api-key", KEY.encode())],
        [(b"x-api-key", b"secret-token:" + KEY.encode())],
    ],
)
def test_a_credential_is_found(headers: Headers) -> None:
    assert credential.sent(headers).text == KEY


@pytest.mark.parametrize(
    "headers",
    [[], [(b"cookie", b"a=b")], [(b"proxy-authorization", b"Bearer a")], bearer(b"Basic YTpi"), bearer(b"DPoP abc"),
     bearer(b""), bearer(b"Bearerx abc"), bearer(KEY.encode())],
)  # fmt: skip
def test_no_credential_or_one_of_another_scheme_is_none(headers: Headers) -> None:
    with pytest.raises(CredentialMissing) as missing:
        credential.sent(headers)
    assert (missing.value.status, missing.value.error) == (401, None)


@pytest.mark.parametrize(
    "headers",
    [
        [(b"authorization", b"Bearer a"), (b"x-api-key", b"b")],
        [(b"authorization", b"Bearer a"), (b"authorization", b"Bearer a")],
        [(b"authorization", b"Bearer a"), (b"authorization", b"Basic b")],
        [(b"x-api-key", b"a"), (b"x-api-key", b"a")],
        [(b"x-api-key", b""), (b"authorization", b"")],
    ],
)
def test_two_credentials_are_refused_even_when_they_are_the_same(headers: Headers) -> None:
    with pytest.raises(InvalidRequest) as refused:
        credential.sent(headers)
    assert (refused.value.status, refused.value.reason) == (400, "several_credentials")


@pytest.mark.parametrize(
    "raw",
    [b"", b" ", KEY.encode() + b"\x00", KEY.encode() + b" x", KEY.encode()[:30] + b"\t" + KEY.encode()[30:],
     "é".encode(), b"\xff\xfe", b"a" * 20_000, b"a.b.c" * 5_000, b"Bearer " + KEY.encode(), KEY.encode() + b",x"],
)  # fmt: skip
def test_what_cannot_be_a_credential_is_malformed(raw: bytes) -> None:
    for headers in ([(b"x-api-key", raw)], bearer(b"Bearer " + raw)):
        with pytest.raises(InvalidToken) as refused:
            credential.recognise(credential.sent(headers).text, "dw")
        assert (refused.value.status, refused.value.reason) == (401, "credential_malformed")


def test_keys_opaque_tokens_and_jwts_are_credentials() -> None:
    opaque, test_key = api_key.assemble("dw", "o", "live", "a" * 12, "b" * 32), KEY.replace("live", "test")
    found = credential.recognise(KEY, "dw")
    assert (found.kind, found.environment, found.id) == ("api_key", "live", "a" * 12)
    assert credential.recognise(opaque, "dw").kind == "opaque"
    assert credential.recognise(token(), "dw").kind == "jwt"
    with pytest.raises(InvalidToken):  # the checksum covers the environment
        credential.recognise(test_key, "dw")


def test_a_token_of_another_issuer_is_one_where_it_is_expected() -> None:
    foreign = "qcaz2mTHQK5IqygOv-6F1gVMdD4on4sHWw_NpKeA-kd"
    with pytest.raises(InvalidToken):
        credential.recognise(foreign, "dw")
    found = credential.recognise(foreign, "dw", takes_foreign=True)
    assert (found.kind, found.environment, found.is_foreign) == ("opaque", "live", True)
    assert not credential.recognise(KEY, "dw", takes_foreign=True).is_foreign
    for text in ("", "two words", "a=b", "new\nline", "\u00e9", "a" * 20_000):
        with pytest.raises(InvalidToken):
            credential.recognise(text, "dw", takes_foreign=True)
    with pytest.raises(InvalidToken):  # a secret of ours that opens no api is sent to nobody
        credential.recognise(api_key.assemble("dw", "s", "live", "a" * 12, "b" * 32), "dw", takes_foreign=True)


@pytest.mark.parametrize("kind", ["a", "s", "r", "g"])
def test_secrets_of_other_kinds_are_no_credentials_for_an_api(kind: str) -> None:
    text = api_key.assemble("dw", kind, "live", "a" * 12, "b" * 32)
    assert api_key.parse(text).kind == kind
    with pytest.raises(InvalidToken) as refused:
        credential.recognise(text, "dw")
    assert refused.value.reason == "credential_malformed"


def test_the_malformed_keys_of_the_published_vectors_are_malformed_credentials() -> None:
    vectors = json.loads(Path(__file__).with_name("key_format.json").read_text("utf-8"))
    for vector in vectors["invalid"]:
        with pytest.raises(InvalidToken):
            credential.recognise(vector["text"], "dw")


def test_a_presented_credential_does_not_show_itself() -> None:
    assert KEY not in repr(credential.recognise(KEY, "dw"))


names = st.sampled_from([b"authorization", b"x-api-key", b"cookie", b"host"])
texts = st.binary() | st.builds(lambda rest: b"Bearer " + rest, st.binary())


@given(st.lists(st.tuples(names, texts), max_size=3))
def test_any_headers_give_a_text_or_a_refusal(headers: Headers) -> None:
    try:
        text = credential.sent(headers).text
    except DoorwardError:
        return
    assert text.isascii()
    assert len([name for name, _ in headers if name in credential.FIELDS]) == 1


class TestWsgi:
    """PEP 3333: what was sent twice arrives as one text."""

    @pytest.mark.parametrize(
        "environ",
        [
            {"HTTP_AUTHORIZATION": f"Bearer {KEY}"},
            {"HTTP_X_API_KEY": KEY, "HTTP_AUTHORIZATION_X": "Bearer a", "AUTHORIZATION": "Bearer a"},
        ],
    )
    def test_a_credential_is_found(self, environ: dict[str, str]) -> None:
        assert credential.sent(credential.fields(environ)).text == KEY

    @pytest.mark.parametrize(
        "environ",
        [
            {"HTTP_AUTHORIZATION": "Bearer a,Bearer a"},
            {"HTTP_AUTHORIZATION": "Bearer a, \tbearer b"},
            {"HTTP_AUTHORIZATION": "Basic YTpi,Bearer a"},
            {"HTTP_AUTHORIZATION": "Bearer a", "HTTP_X_API_KEY": "b"},
            {"HTTP_X_API_KEY": f"{KEY},{KEY}"},
        ],
    )
    def test_two_credentials_are_none(self, environ: dict[str, str]) -> None:
        with pytest.raises(InvalidRequest):
            credential.sent(credential.fields(environ))

    def test_commas_of_another_scheme_are_its_own(self) -> None:
        digest = {"HTTP_AUTHORIZATION": 'Digest username="a", realm="b", uri="/"'}
        with pytest.raises(CredentialMissing):
            credential.sent(credential.fields(digest))

    def test_commas_within_a_text_make_it_no_second_credential(self) -> None:
        flattened = {"HTTP_AUTHORIZATION": 'Bearer {"payload":"a","signature":"b"}'}
        assert len(credential.fields(flattened)) == 1

    def test_what_no_header_can_hold_is_malformed(self) -> None:
        sent = credential.sent(credential.fields({"HTTP_X_API_KEY": f"\u0141{KEY}"}))
        with pytest.raises(InvalidToken):
            credential.recognise(sent.text, "dw")
