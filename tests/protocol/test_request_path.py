"""One path in one spelling: what two readers could read differently is refused by the name of its flaw (T172)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorward.protocol import request_path
from doorward.protocol.request_path import AmbiguousPath, Target

AMBIGUOUS = (
    # target, flaw
    (b"", "not_a_path"),
    (b"*", "not_a_path"),
    (b"invoices", "not_a_path"),
    (b"?page=2", "not_a_path"),
    (b"https://api.example.com/invoices", "not_a_path"),
    (b"/invoices#/static", "fragment"),
    (b"/invoices?page=2#x", "fragment"),
    (b"/invoices 7", "control_character"),
    (b"/invoices\t", "control_character"),
    (b"/invoices\r\nX-Auth-Subject: root", "control_character"),
    (b"/invoices\x00", "control_character"),
    (b"/invoices\x7f", "control_character"),
    (b"/caf\xc3\xa9", "not_ascii"),
    (b"/invoices?q=\xff", "not_ascii"),
    (b"/static\\..\\admin", "backslash"),
    (b"/static/..%5cadmin", "backslash"),
    (b"/static%2Fadmin", "encoded_slash"),
    (b"/static/..%2fadmin", "encoded_slash"),
    (b"/invoices%00.css", "control_character"),
    (b"/invoices%0d%0aX-Auth-Subject:root", "control_character"),
    (b"/invoices%1b", "control_character"),
    (b"/invoices%7F", "control_character"),
    (b"/admin;/static", "path_parameter"),
    (b"/static/..;/admin", "path_parameter"),
    (b"/admin;jsessionid=1", "path_parameter"),
    (b"/admin%3bx", "path_parameter"),
    (b"/admin%23x", "encoded_delimiter"),
    (b"/admin%3Fx", "encoded_delimiter"),
    (b"/%252e%252e/admin", "double_encoding"),
    (b"/100%25", "double_encoding"),
    (b"/100%", "bad_encoding"),
    (b"/invoices/%zz", "bad_encoding"),
    (b"/invoices/%4", "bad_encoding"),
    (b"//invoices", "empty_segment"),
    (b"/invoices//7", "empty_segment"),
    (b"/invoices//", "empty_segment"),
    (b"/.", "dot_segment"),
    (b"/..", "dot_segment"),
    (b"/./invoices", "dot_segment"),
    (b"/static/../admin", "dot_segment"),
    (b"/static/..", "dot_segment"),
    (b"/static/...", "dot_segment"),
    (b"/static/%2e%2e/admin", "dot_segment"),
    (b"/static/.%2E/admin", "dot_segment"),
    (b"/app%2ejs", "dot_segment"),
    (b"/invoices/<id>", "reserved_character"),
    (b"/invoices/{id}", "reserved_character"),
    (b"/a|b", "reserved_character"),
    (b"/%ff", "not_utf8"),
    (b"/%c0%af", "not_utf8"),
    (b"/%ed%a0%80", "not_utf8"),
    (b"/a%c2%85b", "control_character"),
    (b"/a%e2%80%8bb", "control_character"),
    (b"/a%e2%80%aeb", "control_character"),
    (b"/cafe%cc%81", "unicode_lookalike"),
    (b"/static%ef%bc%8f..", "unicode_lookalike"),
    (b"/%ef%bc%8e%ef%bc%8e/admin", "unicode_lookalike"),
    (b"/a%ef%bc%9bb", "unicode_lookalike"),
    (b"/" + b"a" * request_path.LIMIT, "too_long"),
)  # fmt: skip

PLAIN = (
    (b"/", Target("/", "")),
    (b"/invoices/7", Target("/invoices/7", "")),
    (b"/invoices/", Target("/invoices/", "")),
    (b"/invoices?page=2&x=%2e%2e/;//", Target("/invoices", "page=2&x=%2e%2e/;//")),
    (b"/invoices?", Target("/invoices", "")),
    (b"/invoices?a?b", Target("/invoices", "a?b")),
    (b"/.well-known/x", Target("/.well-known/x", "")),
    (b"/app.js", Target("/app.js", "")),
    (b"/a..b/..c/d..", Target("/a..b/..c/d..", "")),
    (b"/a:b@c,d=e!f$g&h'(i)*+~_-", Target("/a:b@c,d=e!f$g&h'(i)*+~_-", "")),
    (b"/%69nvoices", Target("/invoices", "")),
    (b"/%7euser", Target("/~user", "")),
    (b"/caf%C3%A9", Target("/café", "")),
    (b"/a%20b", Target("/a b", "")),
)


@pytest.mark.parametrize(("raw", "flaw"), AMBIGUOUS, ids=[repr(raw[:40]) for raw, _ in AMBIGUOUS])
def test_what_can_be_read_in_two_ways_is_refused_by_name(raw: bytes, flaw: str) -> None:
    with pytest.raises(AmbiguousPath) as refused:
        request_path.read(raw)
    assert refused.value.flaw == flaw


@pytest.mark.parametrize(("raw", "target"), PLAIN, ids=[repr(raw) for raw, _ in PLAIN])
def test_what_can_be_read_in_one_way_has_one_spelling(raw: bytes, target: Target) -> None:
    assert request_path.read(raw) == target


@given(st.binary(max_size=40).map(lambda raw: b"/" + raw))
def test_what_is_let_through_means_the_same_to_who_decodes_once_more_or_folds_dots(raw: bytes) -> None:
    try:
        path = request_path.read(raw).path
    except AmbiguousPath:
        return
    assert "%" not in path
    assert "\\" not in path
    assert "//" not in path
    assert not {part for part in path.split("/") if part and not part.strip(".")}


def test_an_assertion_names_path_and_query_as_a_service_sees_them() -> None:
    assert request_path.written(request_path.read(b"/caf%C3%A9?a=%20")) == "/café?a=%20"
    assert request_path.written(request_path.read(b"/invoices?")) == "/invoices"
