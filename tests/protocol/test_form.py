"""Forms are read one way only, RFC 6749 appendix B, or refused: T008, T009, T184, T187."""

from __future__ import annotations

from urllib.parse import urlencode

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tests.protocol.given import refused

from doorward.protocol.form import FIELD_LIMIT, VALUE_LIMIT, Form, collect, parse
from doorward.protocol.refusal import InvalidRequest


def test_a_form_is_names_with_values() -> None:
    form = parse(b"grant_type=client_credentials&scope=read+write")
    assert form.get("grant_type") == "client_credentials"
    assert form.get("scope") == "read write"


def test_an_empty_body_is_a_form_without_parameters() -> None:
    assert parse(b"") == Form({})


def test_a_value_may_contain_the_equals_sign() -> None:
    assert parse(b"token=a=b==").get("token") == "a=b=="


def test_names_and_values_are_percent_decoded_as_utf8() -> None:
    assert parse(b"n%61me=%C3%A9%2b%26%3D").get("name") == "é+&="


def test_nothing_between_two_ampersands_is_nothing() -> None:
    assert parse(b"&&a=1&&b=2&").fields == {"a": ("1",), "b": ("2",)}


@pytest.mark.parametrize("body", [b"scope=", b"scope", b"other=1"])
def test_an_empty_value_is_the_same_as_an_absent_one(body: bytes) -> None:
    form = parse(body)
    assert form.get("scope") is None
    assert form.all("scope") == ()
    with refused("invalid_request", reason="request_malformed"):
        form.required("scope")


def test_a_required_parameter_is_given_out_when_it_is_there() -> None:
    assert parse(b"token=t").required("token") == "t"


@pytest.mark.parametrize(
    "body", [b"scope=a&scope=a", b"scope=a&scope=b", b"scope=&scope=a", b"scope=a&s%63ope=b", b"=a&=b"]
)
def test_a_parameter_must_not_be_repeated(body: bytes) -> None:
    with refused("invalid_request", reason="request_malformed"):
        parse(body)


@pytest.mark.parametrize("name", ["resource", "audience"])
def test_resource_and_audience_may_be_repeated(name: str) -> None:
    form = parse(f"{name}=one&{name}=&{name}=two".encode())
    assert form.all(name) == ("one", "two")


def test_there_may_be_64_parameters_and_no_more() -> None:
    pairs = [f"p{number}=1" for number in range(FIELD_LIMIT)]
    assert len(parse("&".join(pairs).encode()).fields) == FIELD_LIMIT == 64
    with refused("invalid_request"):
        parse("&".join([*pairs, "one_more=1"]).encode())


def test_empty_pairs_count_as_parameters() -> None:
    with refused("invalid_request"):
        parse(b"&" * FIELD_LIMIT)


@pytest.mark.parametrize("body", ["token={}", "{}=token"])
def test_a_name_or_value_has_8_kib_at_most(body: str) -> None:
    assert VALUE_LIMIT == 8192
    assert parse(body.format("x" * 8192).encode())
    with refused("invalid_request"):
        parse(body.format("x" * 8193).encode())


@pytest.mark.parametrize("body", [b"a=\x00", b"a=%00", b"a=b%00c", b"\x00=a", b"a%00=b", b"%00"])
def test_nul_is_refused_wherever_it_stands(body: bytes) -> None:
    with refused("invalid_request"):
        parse(body)


@pytest.mark.parametrize("body", [b"a=%", b"a=%4", b"a=%zz", b"a=%4g", b"a=%%41", b"%=a", b"a=%u0041", b"a=% 41"])
def test_a_malformed_escape_is_refused_and_not_taken_literally(body: bytes) -> None:
    with refused("invalid_request"):
        parse(body)


@pytest.mark.parametrize(
    "body", [b"a=\xff", b"a=%ff", b"a=%C3", b"a=%C0%80", b"a=%ED%A0%80", b"a=%F4%90%80%80", b"\xe9=a"]
)
def test_what_is_not_utf8_is_refused(body: bytes) -> None:
    with refused("invalid_request"):
        parse(body)


def test_a_refusal_says_nothing_of_what_was_sent() -> None:
    for body in (b"canary=canary&canary=canary", b"canary=canary%", b"canary=canary\x00", b"canary=canary%ff"):
        with refused("invalid_request") as caught:
            parse(body)
        assert "canary" not in f"{caught.value!r} {caught.value.detail} {caught.value.fields}"


names = st.text(st.characters(blacklist_characters="\x00", blacklist_categories=["Cs"]), min_size=1, max_size=20)


@given(st.dictionaries(names, names, max_size=FIELD_LIMIT))
def test_what_was_encoded_is_decoded(sent: dict[str, str]) -> None:
    assert parse(urlencode(sent).encode()) == collect(sent.items())


hostile = st.lists(
    st.sampled_from([b"&", b"=", b"+", b"%", b"%4", b"%00", b"%ff", b"a", b"scope", b"\x00", b"\xc3", b"\xa9"])
)


@given(st.one_of(st.binary(max_size=300), hostile.map(b"".join)))
@example(b"%")
@example(b"=")
def test_any_body_is_a_form_or_an_invalid_request(body: bytes) -> None:
    try:
        form = parse(body)
    except InvalidRequest:
        return
    for name, values in form.fields.items():
        assert "\x00" not in name + "".join(values)
        assert "" not in values
