"""The table and what is derived from it agree: every scope exists, every endpoint is announced."""

from doorward.app import ENDPOINTS, RESOURCES, ROUTES
from doorward.protocol.admin import SCOPES
from doorward.protocol.metadata import MEMBERS


def test_every_route_needs_a_scope_that_can_be_given():
    assert {row.scope for row in (*ROUTES, *RESOURCES)} <= SCOPES


def test_every_endpoint_is_announced():
    assert ENDPOINTS.keys() <= MEMBERS.keys()


def test_no_two_routes_answer_the_same_request():
    rows = [(route.method, route.path) for route in ROUTES]
    assert len(set(rows)) == len(rows)
