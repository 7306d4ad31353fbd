"""Every reason that the core may give, wherever it stands in the code, has a row with a sentence and a fix."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from importlib.resources import files

import pytest

from doorward.protocol.reasons import BY_CODE, REASONS, SERVER
from doorward_verify.reasons import REASONS as CHECKS

# Where a reason stands among the arguments, when it has no name.
PLACES = {"Verdict": 0, "KeyCheckObject": 1, "CredentialRefused": 2}


def given(tree: ast.AST) -> Iterator[str]:
    """The reasons in the code: named arguments, those in their places, and answers to "why not?"."""
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Name(id=name), args=args) if name in PLACES and len(args) > PLACES[name]:
                yield from texts(args[PLACES[name]])
            case ast.FunctionDef(returns=ast.expr() as returns) if ast.unparse(returns) == "str | None":
                yield from (t for found in ast.walk(node) if isinstance(found, ast.Return) for t in texts(found.value))
            case ast.keyword(arg="reason", value=value):
                yield from texts(value)
            case ast.Assign(targets=[ast.Name(id="ended" | "reason" | "default_reason")], value=value):
                yield from texts(value)


def texts(node: ast.AST | None) -> Iterator[str]:
    match node:
        case ast.Constant(value=str(text)):
            yield text
        case ast.IfExp(body=body, orelse=orelse):
            yield from (*texts(body), *texts(orelse))


def core() -> Iterator[str]:
    for folder in (files("doorward.protocol"), files("doorward.protocol") / "grant_types"):
        yield from (path.read_text() for path in folder.iterdir() if path.name.endswith(".py"))


def test_every_reason_in_the_code_is_in_the_table() -> None:
    found = {reason for text in core() for reason in given(ast.parse(text))}
    assert {"credential_revoked", "wrong_audience", "secret_in_query", "setup_over", "token_claims_too_large"} <= found
    assert found - REASONS.keys() == set()


@pytest.mark.parametrize(
    "code",
    [
        "Verdict('typo')", "KeyCheckObject(False, 'typo')", "CredentialRefused('client', id, 'typo')",
        "raise InvalidRequest('no', reason='typo')", "class A:\n    default_reason = 'typo'",
        "def ended() -> str | None:\n    if x:\n        return 'typo'", "ended = 'credential_revoked' if x else 'typo'",
    ],
)  # fmt: skip
def test_a_reason_that_is_not_in_the_table_is_found(code: str) -> None:
    assert "typo" in {*given(ast.parse(code))}


def test_a_code_and_a_name_mean_one_thing() -> None:
    rows = (*CHECKS, *SERVER)
    assert len(rows) == len(REASONS) == len(BY_CODE)
    assert {reason.code: reason for reason in rows} == BY_CODE
    assert {reason.name: reason for reason in rows} == REASONS


def test_codes_never_change() -> None:
    """A sample of what stands in request ids out there."""
    codes = {
        "credential_missing": 1,
        "credential_unknown": 4,
        "plaintext": 22,
        "request_malformed": 100,
        "scope_invalid": 105,
    }
    assert {name: REASONS[name].code for name in codes} == codes


def test_zero_is_no_reason() -> None:
    assert 0 not in BY_CODE
