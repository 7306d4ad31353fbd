"""What is found in a request that arrived in the clear: every secret of the brand, every JWT, and nothing else."""

from __future__ import annotations

import base64

import pytest
from tests.verify.asking import KEY, OPAQUE, OTHER_KEY, made_up
from tests.verify.issuing import token

from doorward_verify import api_key, exposed

SECRET = api_key.assemble("dw", "s", "live", "a" * 12, "b" * 32)
JWT = token()


def found(*values: str | bytes, query: str = "", body: str = "") -> tuple[str, ...]:
    headers = [(b"x", value if isinstance(value, bytes) else value.encode()) for value in values]
    return exposed.texts(headers, query.encode(), body.encode(), "dw")


def basic(pair: str) -> str:
    return "Basic " + base64.b64encode(pair.encode()).decode()


@pytest.mark.parametrize(
    "value",
    [KEY, f"Bearer {KEY}", f"bearer secret-token:{KEY}", f'"{KEY}"', f"a={KEY};", basic(f"{KEY}:"), basic(f"u:{KEY}")],
)
def test_a_secret_is_found_wherever_it_stands(value: str) -> None:
    assert found(value) == (KEY,)


def test_in_query_and_body_too_and_each_once() -> None:
    assert found(KEY, query=f"api_key={KEY}&b={OTHER_KEY}", body=f'{{"token": "{OPAQUE}"}}') == (KEY, OTHER_KEY, OPAQUE)


def test_secrets_of_other_kinds_and_jwts_are_found() -> None:
    assert found(basic(f"client:{SECRET}"), f"Bearer {JWT}") == (SECRET, JWT)


@pytest.mark.parametrize(
    "value",
    [KEY[:-1], KEY + "x", "x" + KEY, KEY[:-1] + "!", KEY.replace("dw", "ab"), KEY.upper(), basic("YTpi"), "Basic !!!!",
     f"{JWT}.x", JWT.rpartition(".")[0], "a.b.c", "eyJ." * 3, b"\xff\xfe", ""],
)  # fmt: skip
def test_what_is_none_is_left_alone(value: str | bytes) -> None:
    assert found(value) == ()


def test_no_more_than_a_few_are_looked_at() -> None:
    assert len(found(body=" ".join(made_up(number) for number in range(50)))) == exposed.COUNT_LIMIT
