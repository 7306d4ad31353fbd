"""What the tests of the verifier have in common: credentials, the issuer's answers, and what was refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from tests.verify.issuer_server import Question, Reply
from tests.verify.issuing import AUDIENCE, NOW

from doorward_verify import DoorwardError, Verifier, api_key

KEY = api_key.assemble("dw", "", "live", "a" * 12, "b" * 32)
OTHER_KEY = api_key.assemble("dw", "", "live", "a" * 12, "c" * 32)
TEST_KEY = api_key.assemble("dw", "", "test", "a" * 12, "b" * 32)
OPAQUE = api_key.assemble("dw", "o", "live", "a" * 12, "b" * 32)

MakeVerifier = Callable[..., Verifier]


def made_up(number: int) -> str:
    """A key of the right form that nobody ever issued."""
    return api_key.assemble("dw", "", "live", "a" * 12, f"{number:032d}")


def active(_: Question | None = None, *, position: str = "1:1", **changes: Any) -> Reply:
    members = {
        "active": True, "sub": "acme", "aud": AUDIENCE, "scope": "invoices:read", "account": "acme", "key_id": "key_1",
        "exp": NOW + 1000, "environment": "live", **changes,
    }  # fmt: skip
    return Reply({k: v for k, v in members.items() if v is not ...}, headers={"doorward-position": position})


def refused(call: Callable[[], object]) -> str:
    with pytest.raises(DoorwardError) as error:
        call()
    return error.value.reason
