"""The admin API is what its OpenAPI document says: every operation, with generated requests, right and wrong ones."""

from __future__ import annotations

import io
import itertools
from typing import Any

import pytest
import requests
import schemathesis
import urllib3
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from requests.adapters import HTTPAdapter
from schemathesis import GenerationMode, checks
from tests.deployment import Doorward
from tests.people import signed_in

# Without the phase that explains a failure, which asks for hundreds of examples more.
PHASES = (Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink)
EXAMPLES = 8
NUMBERS = itertools.count()
CHECKS = [
    checks.not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_schema_conformance,
]


class InProcess(HTTPAdapter):
    """`requests` speaks to the application in this process."""

    def __init__(self, doorward: Doorward) -> None:
        super().__init__()
        self._doorward = doorward

    def send(self, request: Any, **_: Any) -> requests.Response:
        content = request.body.encode() if isinstance(request.body, str) else request.body
        reply = self._doorward.http.request(request.method, request.url, headers=dict(request.headers), content=content)
        answer = urllib3.HTTPResponse(
            io.BytesIO(reply.content), reply.headers.multi_items(), reply.status_code, preload_content=False
        )
        return self.build_response(request, answer)


@pytest.fixture(scope="module")
def operations(on_sqlite):
    """What the document describes, by method and path."""
    schema = schemathesis.openapi.from_dict(on_sqlite.http.get("/v1/openapi.json").json())
    found = {result.ok().label: result.ok() for result in schema.get_all_operations()}
    assert len(found) > 30
    return found


@pytest.fixture(scope="module")
def session(on_sqlite):
    with requests.Session() as session:
        session.mount(on_sqlite.issuer, InProcess(on_sqlite))
        session.trust_env = False
        yield session


def a_user(doorward):
    return doorward.create("/users", username=f"grace{next(NUMBERS)}")


def a_session(doorward):
    user, _ = signed_in(doorward)
    return doorward.v1("GET", f"/sessions?user={user['id']}").json()["items"][0]


def an_identity(doorward):
    """No setting of this deployment names an upstream, so that nobody could be linked to a login there."""
    made, user = f"identity_{next(NUMBERS)}", a_user(doorward)["id"]
    columns = "id, user_id, issuer, subject, created_at"
    values = ":id, :user, 'https://login.acme.example', :id, 1800000000"
    doorward.sql(f"INSERT INTO identities ({columns}) VALUES ({values})", id=made, user=user)
    return {"id": made}


def a_leak(doorward):
    doorward.v1("POST", "/leaks", {"reports": [{"token": doorward.a_key()["key"]}]})
    return doorward.v1("GET", "/leaks").json()["items"][-1]


def existing(doorward, path):
    """The id of a fresh entity of the kind that lives at this path."""
    kind = path.split("/")[1]
    if kind == "signing-keys":
        return doorward.v1("GET", "/signing-keys").json()["items"][0]["kid"]
    if kind == "requests":
        return doorward.v1("GET", "/nothing").json()["request_id"]
    made = {
        "apis": doorward.an_api,
        "accounts": doorward.an_account,
        "keys": doorward.a_key,
        "clients": doorward.a_client,
        "verifiers": doorward.a_verifier,
        "grants": lambda: {"id": doorward.a_client()["apis"][0]["grant_id"]},
        "users": lambda: a_user(doorward),
        "memberships": lambda: doorward.create(
            "/memberships", user=a_user(doorward)["id"], account=doorward.an_account()["id"]
        ),
        "identities": lambda: an_identity(doorward),
        "sessions": lambda: a_session(doorward),
        "leaks": lambda: a_leak(doorward),
        "nodes": lambda: doorward.v1("GET", "/nodes").json()["items"][0],
        "admin-keys": lambda: doorward.create("/admin-keys", name="ci", scope="apis:read"),
    }[kind]()
    return made.get("id") or made["client_id"]


def about_what_exists(doorward, case):
    """Random ids lead to 404 and nowhere else; with real ones the successful answers are seen too."""
    if "id" in case.path_parameters:
        case.path_parameters["id"] = existing(doorward, case.path)
    if isinstance(case.body, dict):
        real = {"account": doorward.an_account()["id"], "api": doorward.an_api()["id"], "scope": "invoices:read"}
        case.body = {name: real.get(name, value) for name, value in case.body.items()}


def keep_its_word(operation, mode, doorward, session):
    """The statuses that its answers had."""
    seen = set()
    base_url, headers = f"{doorward.issuer}/v1", {"Authorization": f"Bearer {doorward.admin_key}"}

    @settings(max_examples=EXAMPLES, phases=PHASES)
    @given(case=operation.as_strategy(generation_mode=mode), real=st.booleans())
    def one(case, real):
        if real and mode is GenerationMode.POSITIVE:
            about_what_exists(doorward, case)
        answer = case.call_and_validate(base_url, session=session, headers=headers, checks=CHECKS)
        seen.add(answer.status_code)
        case.headers.pop("Authorization", None)
        for stranger in ({}, {"Authorization": "Bearer dwa_live_x"}):
            reply = case.call(base_url, session=session, headers=stranger)
            # A path or query that cannot be read is refused before anybody asks who sent it.
            assert reply.status_code == 401 or reply.status_code == answer.status_code in (400, 404, 405)

    one()
    return seen


def test_by_requests_that_the_document_allows(subtests, on_sqlite, session, operations):
    """Which examples are made is chance, so that one operation may meet nothing that exists; not so all of them."""
    seen = set()
    for label, operation in operations.items():
        with subtests.test(label):
            seen |= keep_its_word(operation, GenerationMode.POSITIVE, on_sqlite, session)
    assert {200, 201, 204} <= seen


def test_by_requests_that_it_does_not_allow(subtests, on_sqlite, session, operations):
    for label, operation in operations.items():
        with subtests.test(label):
            assert max(keep_its_word(operation, GenerationMode.NEGATIVE, on_sqlite, session)) >= 400
