"""The routes of apis: kept with their api, compiled once, and read anew by every worker when one of them changes."""

from __future__ import annotations

from dataclasses import replace

from sqlalchemy import Engine
from tests.protocol.given import POLICY, an_api
from tests.store.committing import a_writer, an_append, commit, head, read

from doorward.protocol import events as e
from doorward.protocol import gateway_events as g
from doorward.protocol import route_policy
from doorward.store import apis, routes
from doorward.store.memory import Memory, Reader

READ = route_policy.members(route_policy.route({"path": "/read", "methods": ["GET"]}, api=an_api().identifier))
WRITE = {**READ, "path": "/write"}


def paths(reader: Reader) -> list[str]:
    return [route.path for route in routes.of_apis(reader).routes]


def test_an_api_keeps_its_routes(engine: Engine) -> None:
    assert commit(engine, e.ApiCreated(an_api(routes=(READ, WRITE)))) == ""
    found = read(engine, apis.by_id, an_api().id)
    assert found is not None
    assert found.routes == (READ, WRITE)
    table = read(engine, routes.compiled, "all").table
    assert [(route.path, route.api, route.origin) for route in table.routes] == [
        ("/read", an_api().identifier, an_api().name), ("/write", an_api().identifier, an_api().name),
    ]  # fmt: skip


def test_a_worker_reads_them_anew_when_one_changed_and_not_before(engine: Engine) -> None:
    memory, api = Memory(head(engine).position), an_api(routes=(READ,))
    writer = a_writer(engine, memory)
    writer.commit([an_append(e.ApiCreated(api), g.RoutesChanged(api))])
    with engine.connect() as connection:
        assert paths(Reader(memory, POLICY, connection, head(engine).position)) == ["/read"]
    assert paths(Reader(memory, POLICY)) == ["/read"], "from memory alone"
    changed = replace(api, routes=(WRITE,), version=2)
    writer.commit([an_append(e.ApiUpdated(changed), g.RoutesChanged(changed, (READ,)), at=head(engine).position)])
    with engine.connect() as connection:
        assert paths(Reader(memory, POLICY, connection, head(engine).position)) == ["/write"]


def test_two_apis_that_get_routes_at_once_are_decided_one_after_the_other(engine: Engine) -> None:
    first, second = an_api(routes=(READ,)), an_api(id="api_2", identifier="https://2.example.com", name="second")
    at = head(engine).position
    writer = a_writer(engine)
    outcomes = writer.commit([
        an_append(e.ApiCreated(first), g.RoutesChanged(first), at=at, refs=["route/all"]),
        an_append(e.ApiCreated(second), g.RoutesChanged(second), at=at, refs=["route/all"]),
    ])  # fmt: skip
    assert [type(problem).__name__ for _, problem in outcomes] == ["NoneType", "Stale"]
