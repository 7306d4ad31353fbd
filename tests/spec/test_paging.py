"""Lists in pages: complete, in order, and still while others write."""

from __future__ import annotations

import threading

import pytest


def walk(doorward, query, limit=4, between=lambda: None):
    """All items, and how many each page had."""
    items, sizes, cursor = [], [], ""
    while cursor is not None:
        page = doorward.v1("GET", f"{query}{'&' if '?' in query else '?'}limit={limit}{cursor and '&cursor=' + cursor}")
        assert page.status_code == 200, page.text
        items += page.json()["items"]
        sizes.append(len(page.json()["items"]))
        cursor = page.json()["next_cursor"]
        between()
    return items, sizes


@pytest.fixture
def account(doorward):
    return doorward.an_account()["id"]


@pytest.fixture
def api(doorward):
    return doorward.an_api()["identifier"]


@pytest.fixture
def keys(doorward, account, api):
    return [doorward.a_key(account=account, api=api)["id"] for _ in range(11)]


def test_every_page_but_the_last_is_full(doorward, account, keys):
    items, sizes = walk(doorward, f"/keys?account={account}")
    assert sizes == [4, 4, 3]
    assert sorted(item["id"] for item in items) == sorted(keys)


def test_a_page_that_holds_exactly_what_is_left_is_the_last(doorward, account, keys):
    assert walk(doorward, f"/keys?account={account}", limit=11)[1] == [11]
    assert walk(doorward, f"/keys?account={account}", limit=10)[1] == [10, 1]


def test_the_order_is_that_of_creation_and_always_the_same(doorward, account, keys):
    items, _ = walk(doorward, f"/keys?account={account}")
    places = [(item["created_at"], item["id"]) for item in items]
    assert places == sorted(places)
    assert [item["id"] for item in walk(doorward, f"/keys?account={account}", limit=1)[0]] == [id_ for _, id_ in places]


def test_nothing_is_shown_twice_or_left_out_while_others_insert(doorward, account, api, keys):
    def one_more():
        doorward.a_key(account=account, api=api)

    items, _ = walk(doorward, f"/keys?account={account}", between=one_more, limit=3)
    seen = [item["id"] for item in items]
    assert len(seen) == len(set(seen))
    assert set(keys) <= set(seen)


def test_nor_while_four_others_insert_all_the_time(doorward, account, api, keys):
    ended = threading.Event()

    def insert(_):
        while not ended.is_set():
            doorward.a_key(account=account, api=api)

    def read(_):
        try:
            # New ones come faster than pages are read; what was there at the start is on the first pages.
            return [doorward.v1("GET", f"/keys?account={account}&limit=11").json()["items"] for _ in range(5)]
        finally:
            ended.set()

    *_, pages = doorward.at_once(5, lambda n: read(n) if n == 4 else insert(n))
    for page in pages:
        assert len({item["id"] for item in page}) == len(page)
    items, _ = walk(doorward, f"/keys?account={account}", limit=50)
    seen = [item["id"] for item in items]
    assert len(seen) == len(set(seen))
    assert set(keys) <= set(seen)


def test_revoked_ones_stay_and_deleted_ones_go(doorward, account, api, keys):
    doorward.v1("POST", f"/keys/{keys[0]}/revoke")
    states = {item["id"]: item["state"] for item in walk(doorward, f"/keys?account={account}")[0]}
    assert states[keys[0]] == "revoked"
    clients = [doorward.a_client(account=account, api=api)["client_id"] for _ in range(3)]
    doorward.v1("DELETE", f"/clients/{clients[1]}")
    found = [item["client_id"] for item in walk(doorward, f"/clients?account={account}")[0]]
    assert sorted(found) == sorted([clients[0], clients[2]])


def test_filters_name_an_api_as_bodies_do(doorward, account, api, keys):
    found = doorward.v1("GET", f"/apis?identifier={api}").json()["items"]
    (one,) = found
    other = doorward.a_key(account=account)
    for reference in (one["id"], one["identifier"], one["name"]):
        items, _ = walk(doorward, f"/keys?account={account}&api={reference}")
        assert sorted(item["id"] for item in items) == sorted(keys)
    assert [item["id"] for item in walk(doorward, f"/keys?api={other['api']}")[0]] == [other["id"]]
    for query in (f"/keys?api={api}&account=none", "/keys?account=none", "/keys?api=none", "/apis?identifier=none"):
        assert walk(doorward, query) == ([], [0])


class TestAudit:
    def test_it_is_complete_and_in_order(self, doorward, account, keys):
        entries, _ = walk(doorward, "/audit?type=ApiKeyCreated", limit=50)
        assert {entry["entity_id"] for entry in entries} >= set(keys)
        positions = [entry["seq"] for entry in entries]
        assert positions == sorted(set(positions))

    def test_newest_first_is_the_same_backwards(self, doorward, account, keys):
        forwards, _ = walk(doorward, "/audit?type=ApiKeyCreated", limit=50)
        backwards, _ = walk(doorward, "/audit?type=ApiKeyCreated&order=desc", limit=50)
        assert backwards == forwards[::-1]

    def test_what_is_new_is_found_behind_a_position(self, doorward, account, api):
        last = doorward.v1("GET", "/audit?order=desc&limit=1").json()["items"][0]["seq"]
        made = doorward.a_key(account=account, api=api)
        (entry,) = doorward.v1("GET", f"/audit?after={last}").json()["items"]
        assert (entry["seq"], entry["type"], entry["entity_id"]) == (last + 1, "ApiKeyCreated", made["id"])

    def test_an_entry_says_what_who_and_in_which_request(self, doorward, account):
        reply = doorward.v1("POST", f"/accounts/{account}/suspend")
        (entry,) = doorward.v1("GET", f"/audit?entity={account}&type=AccountUpdated").json()["items"]
        assert entry["request_id"] == reply.headers["x-request-id"]
        assert entry["actor"].startswith("admin_")
        assert (entry["entity"], entry["kind"]) == ("account", "change")
        assert entry["data"]["state"] == "suspended"

    def test_of_64_parallel_changes_each_has_one_entry(self, doorward, account, api):
        last = doorward.v1("GET", "/audit?order=desc&limit=1").json()["items"][0]["seq"]
        ids = doorward.at_once(16, lambda _: [doorward.a_key(account=account, api=api)["id"] for _ in range(4)])
        entries, _ = walk(doorward, f"/audit?after={last}", limit=50)
        assert sorted(entry["entity_id"] for entry in entries) == sorted(id_ for some in ids for id_ in some)
        assert [entry["seq"] for entry in entries] == list(range(last + 1, last + 65))
