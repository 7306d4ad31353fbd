"""Passwords on their way in: compared or hashed in their own pool, and refused when too many wait (T148)."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import TypeVar

from doorward.passwords import Overloaded
from doorward.protocol import password
from doorward.protocol.password import Checked, normal
from doorward.protocol.people import User
from doorward.protocol.refusal import TemporarilyUnavailable
from doorward.web.runtime import Runtime

Answer = TypeVar("Answer")


def acceptable(runtime: Runtime, text: str, user: User) -> None:
    """Raises Unprocessable for what this user should not choose."""
    names = (user.username, user.canonical, *(user.email or "").split("@")[:1])
    password.acceptable(text, names, runtime.leaked)


async def compared(runtime: Runtime, phc: str | None, text: str) -> Checked:
    """Without a password to compare with as much work is done (T145)."""
    return Checked(phc, await _unless_overloaded(runtime.passwords.matches(phc, normal(text))))


async def hashed(runtime: Runtime, text: str) -> str:
    return await _unless_overloaded(runtime.passwords.hash(normal(text)))


async def _unless_overloaded(work: Awaitable[Answer]) -> Answer:
    try:
        return await work
    except Overloaded:
        raise TemporarilyUnavailable("too many passwords are waiting", reason="overloaded") from None
