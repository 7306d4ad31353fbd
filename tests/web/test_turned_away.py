"""What those are told for whom there is no room: each in the form of what he asked, with an id that explains itself."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.deployment import deployed

from doorward.protocol.load import RANKS
from doorward.protocol.reasons import REASONS
from doorward_verify import request_id

FORMS = {"page": "text/html; charset=utf-8", "admin": "application/problem+json"}


@pytest.fixture(scope="module")
def doorward(tmp_path_factory):
    with deployed(tmp_path_factory.mktemp("turned-away")) as doorward:
        yield doorward


def told(doorward: Any, name: str) -> Any:
    """As a connection takes it: `deployed` has no socket."""
    load = doorward.http._transport._inner.app.load
    return load.answer(next(rank for rank in RANKS if rank.name == name))


@pytest.mark.parametrize("name", [rank.name for rank in RANKS])
def test_whoever_is_turned_away_hears_when_to_come_again_and_why(doorward, name):
    answer = told(doorward, name)
    fields = {key.decode(): value.decode() for key, value in answer.headers}
    assert answer.status == 503
    assert fields["retry-after"] == "1"
    assert fields["cache-control"] == "no-store"
    assert fields["content-type"] == FORMS.get(name, "application/json")
    assert int(fields["content-length"]) == len(answer.body)
    assert request_id.read(fields["x-request-id"]).reason_code == REASONS["overloaded"].code
    assert fields["x-request-id"].encode() in answer.body
    assert answer.raw.startswith(b"HTTP/1.1 503 Service Unavailable\r\n")
    assert answer.raw.endswith(b"\r\n\r\n" + answer.body)


def test_what_programs_ask_is_answered_for_programs(doorward):
    assert json.loads(told(doorward, "token").body)["error"] == "temporarily_unavailable"
    assert json.loads(told(doorward, "admin").body)["reason"] == "overloaded"
    gateways = dict(told(doorward, "check").headers)
    assert (gateways[b"x-auth-status"], gateways[b"x-auth-problem"]) == (b"503", b"overloaded")


def test_each_of_them_is_counted(doorward, monkeypatch):
    """What is counted is added up by all workers; in this process others have been before."""
    counted = []
    monkeypatch.setattr(doorward.http._transport._inner.app.made.metrics, "turned_away", counted.append)
    for _ in range(3):
        told(doorward, "end")
    assert counted == ["end"] * 3
