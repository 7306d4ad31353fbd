"""Types of columns: what is kept as a text or as JSON, and what the entities have it as."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from sqlalchemy import JSON, Text, TypeDecorator
from sqlalchemy.engine import Dialect

from doorward.protocol.limit import Limit
from doorward_verify.scope import Scope


class ScopeText(TypeDecorator[Scope]):
    """A set of scope names, kept as RFC 6749 writes it."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Scope | None, dialect: Dialect) -> str | None:  # noqa: ARG002
        return None if value is None else " ".join(sorted(value))

    def process_result_value(self, value: str | None, dialect: Dialect) -> Scope | None:  # noqa: ARG002
        return None if value is None else frozenset(value.split())


class Words(TypeDecorator[tuple[str, ...]]):
    """A short tuple of names in their order."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: tuple[str, ...] | None, dialect: Dialect) -> str | None:  # noqa: ARG002
        return None if value is None else " ".join(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> tuple[str, ...] | None:  # noqa: ARG002
        return None if value is None else tuple(value.split())


class Lines(TypeDecorator[tuple[str, ...]]):
    """A short tuple of texts, none of which has a line break."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: tuple[str, ...] | None, dialect: Dialect) -> str | None:  # noqa: ARG002
        return None if value is None else "\n".join(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> tuple[str, ...] | None:  # noqa: ARG002
        return None if value is None else tuple(value.split("\n")) if value else ()


class Limits(TypeDecorator[tuple[Any, ...]]):
    """The limits of one subject; of an api they say more than of others."""

    impl = JSON
    cache_ok = True

    def __init__(self, kind: type[Limit] = Limit) -> None:
        super().__init__()
        self.kind = kind

    def process_bind_param(self, value: tuple[Limit, ...] | None, dialect: Dialect) -> Any:  # noqa: ARG002
        return None if value is None else [asdict(limit) for limit in value]

    def process_result_value(self, value: Any, dialect: Dialect) -> tuple[Limit, ...] | None:  # noqa: ARG002
        return None if value is None else tuple(self.kind(**limit) for limit in value)


class Objects(TypeDecorator[tuple[Any, ...]]):
    """A short tuple of JSON objects."""

    impl = JSON
    cache_ok = True

    def process_result_value(self, value: Any, dialect: Dialect) -> tuple[Any, ...] | None:  # noqa: ARG002
        return None if value is None else tuple(value)
