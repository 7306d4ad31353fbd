"""What everything else speaks of: values that cannot be changed, and that show no secret."""

from __future__ import annotations

import dataclasses
import inspect
from typing import Any

import pytest
from tests.protocol.given import a_signing_key, an_access_token

from doorward.protocol import entities

ENTITIES = [value for value in vars(entities).values() if inspect.isclass(value) and dataclasses.is_dataclass(value)]


@pytest.mark.parametrize("kind", ENTITIES)
def test_an_entity_is_a_frozen_value(kind: type[Any]) -> None:
    assert kind.__dataclass_params__.frozen
    slots = [name for part in reversed(kind.__mro__) for name in getattr(part, "__slots__", ())]
    assert slots == [field.name for field in dataclasses.fields(kind)]


@pytest.mark.parametrize("kind", ENTITIES)
def test_bytes_are_secret_or_made_from_a_secret_and_never_shown(kind: type[Any]) -> None:
    assert [field.name for field in dataclasses.fields(kind) if field.type == "bytes" and field.repr] == []


def test_neither_mac_nor_private_key_is_shown_in_a_repr() -> None:
    _, facts = an_access_token("opaque")
    assert facts.opaque is not None
    for entity, secret in ((a_signing_key(), a_signing_key().private_key), (facts.opaque, facts.opaque.mac)):
        assert repr(secret)[2:-1] not in repr(entity)
