"""Rate limits and quotas (T165) at `/v1/keys/verify` and introspection: exact, all or nothing, and told."""

from __future__ import annotations

import pytest
from tests.deployment import deployed

from doorward.store import limits_in_valkey

BURST = {"name": "burst", "amount": 10, "per": "day"}
MONTHLY = {"name": "monthly", "amount": 5, "per": "month", "type": "quota"}


@pytest.fixture(scope="module")
def in_valkey(valkey, tmp_path_factory):
    """On a busy machine it may take long to answer: what happens then is tried elsewhere."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(limits_in_valkey, "PATIENCE", 10.0)
        with deployed(tmp_path_factory.mktemp("valkey"), limits_url=valkey.url) as doorward:
            yield doorward


@pytest.fixture(params=["on_sqlite", "on_postgresql", "in_valkey"])
def doorward(request):
    """Rates are counted in the database, or in Valkey."""
    return request.getfixturevalue(request.param)


def check(doorward, key, **more):
    reply = doorward.v1("POST", "/keys/verify", {"key": key["key"], **more})
    assert reply.status_code == 200, reply.text
    return reply.json()


def passed(answers) -> int:
    return sum(answer["active"] for answer in answers)


class TestOneKey:
    def test_a_rate_lets_so_many_pass_and_says_when_to_come_again(self, doorward):
        key = doorward.a_key(limits=[BURST])
        assert key["limits"] == [{**BURST, "type": "rate", "burst": None}]
        answers = [check(doorward, key) for _ in range(12)]
        assert [answer["reason"] for answer in answers] == [None] * 10 + ["rate_limited"] * 2
        assert [answer["limits"][0]["remaining"] for answer in answers] == [*range(9, -1, -1), 0, 0]
        assert 8000 < answers[-1]["retry_after"] <= 8640
        assert answers[-1]["key_id"] == key["id"]

    def test_a_quota_is_exact_when_many_ask_at_once(self, doorward):
        key = doorward.a_key(limits=[MONTHLY])
        answers = doorward.at_once(16, lambda _: check(doorward, key))
        assert passed(answers) == 5
        assert {answer["reason"] for answer in answers} == {None, "quota_exceeded"}

    def test_all_limits_agree_or_none_is_charged(self, doorward):
        key = doorward.a_key(limits=[BURST, MONTHLY])
        answers = [check(doorward, key) for _ in range(8)]
        assert passed(answers) == 5
        left = {one["name"]: one["remaining"] for one in check(doorward, key, cost=0)["limits"]}
        assert left == {"burst": 5, "monthly": 0}

    def test_a_cost_takes_as_much_and_nothing_when_it_is_too_much(self, doorward):
        key = doorward.a_key(limits=[BURST])
        assert check(doorward, key, cost=7)["active"]
        refused = check(doorward, key, cost=4)
        assert (refused["active"], refused["limits"][0]["remaining"]) == (False, 3)
        assert check(doorward, key, cost=3)["active"]

    @pytest.mark.parametrize("of", [BURST, {**BURST, "burst": 3}, {**MONTHLY, "amount": 10}])
    def test_a_cost_above_all_of_a_limit_is_no_matter_of_waiting(self, doorward, of):
        key = doorward.a_key(limits=[of])
        most = of.get("burst") or of["amount"]
        refused = check(doorward, key, cost=most + 1)
        assert (refused["active"], refused["reason"], refused["retry_after"]) == (False, "cost_impossible", None)
        assert refused["limits"][0]["remaining"] == most, "nothing was taken"
        assert check(doorward, key, cost=most)["active"]
        assert check(doorward, key, cost=most)["reason"] in ("rate_limited", "quota_exceeded")
        assert check(doorward, key, cost=most + 1)["reason"] == "cost_impossible"

    def test_of_many_keys_at_once_only_that_one_is_refused(self, doorward):
        keys = [doorward.a_key(limits=[{**BURST, "amount": amount}])["key"] for amount in (10, 5)]
        body = {"keys": [{"key": key, "cost": 6} for key in keys]}
        results = doorward.v1("POST", "/keys/verify/batch", body).json()["results"]
        assert [one["reason"] for one in results] == [None, "cost_impossible"]

    @pytest.mark.parametrize("cost", [-1, 1_000_001, "1", 1.5])
    def test_a_cost_is_a_whole_number(self, doorward, cost):
        key = doorward.a_key(limits=[BURST])
        assert doorward.v1("POST", "/keys/verify", {"key": key["key"], "cost": cost}).status_code == 422
        assert check(doorward, key, cost=0)["limits"][0]["remaining"] == 10

    def test_what_is_refused_for_another_reason_costs_nothing(self, doorward):
        key = doorward.a_key(limits=[BURST])
        assert check(doorward, key, scope="invoices:write")["reason"] == "insufficient_scope"
        assert check(doorward, key, cost=0)["limits"][0]["remaining"] == 10

    def test_a_new_secret_has_what_the_old_one_left(self, doorward):
        key = doorward.a_key(limits=[BURST])
        check(doorward, key, cost=6)
        new = doorward.create(f"/keys/{key['id']}/rotate", overlap=3600)
        assert check(doorward, new, cost=1)["limits"][0]["remaining"] == 3
        assert check(doorward, key, cost=1)["limits"][0]["remaining"] == 2

    def test_limits_can_be_changed_and_taken_away(self, doorward):
        key = doorward.a_key(limits=[BURST])
        check(doorward, key, cost=10)
        changed = doorward.v1("PATCH", f"/keys/{key['id']}", {"limits": [{**BURST, "name": "other"}]})
        assert changed.json()["limits"][0]["name"] == "other"
        assert check(doorward, key)["limits"][0]["remaining"] == 9
        assert doorward.v1("PATCH", f"/keys/{key['id']}", {"limits": []}).json()["limits"] == []
        assert (check(doorward, key)["active"], check(doorward, key)["limits"]) == (True, [])

    @pytest.mark.parametrize(
        "wrong",
        [
            [BURST, BURST], [{**BURST, "amount": 0}], [{**BURST, "per": "month"}], [{**BURST, "each": "api"}],
            [{**BURST, "name": "No name"}], [{**MONTHLY, "burst": 2}],
        ],
    )  # fmt: skip
    def test_what_cannot_be_kept_is_refused_by_name(self, doorward, wrong):
        key = doorward.a_key()
        reply = doorward.v1("PATCH", f"/keys/{key['id']}", {"limits": wrong})
        assert reply.status_code == 422
        assert all(error["field"].startswith("limits") for error in reply.json()["errors"])
        assert doorward.v1("GET", f"/keys/{key['id']}").json()["version"] == 1

    def test_what_is_left_can_be_looked_at_and_looking_takes_nothing(self, doorward):
        key = doorward.a_key(limits=[BURST, MONTHLY])
        check(doorward, key, cost=2)
        for _ in range(2):
            left = doorward.v1("GET", f"/keys/{key['id']}/limits").json()["limits"]
            assert [(one["name"], one["remaining"], one["amount"]) for one in left] == [
                ("burst", 8, 10), ("monthly", 3, 5),
            ]  # fmt: skip


class TestSeveralKeys:
    def test_an_accounts_limit_is_shared_by_its_keys(self, doorward):
        account = doorward.an_account(limits=[BURST])
        keys = [doorward.a_key(account=account["id"]) for _ in range(2)]
        assert passed(check(doorward, keys[turn % 2]) for turn in range(14)) == 10
        assert account["limits"][0]["amount"] == 10

    @pytest.mark.parametrize(("each", "shared"), [("key", False), ("account", False), ("api", True)])
    def test_an_api_says_who_has_its_limit(self, doorward, each, shared):
        api = doorward.an_api(limits=[{**BURST, "each": each}])
        first, other = (doorward.a_key(api=api["identifier"]) for _ in range(2))
        assert passed(check(doorward, first) for _ in range(12)) == 10
        assert check(doorward, other)["active"] is not shared

    def test_a_keys_own_limit_takes_the_place_of_its_apis(self, doorward):
        api = doorward.an_api(limits=[{**BURST, "each": "key"}])
        key = doorward.a_key(api=api["identifier"], limits=[{**BURST, "amount": 12}])
        assert passed(check(doorward, key) for _ in range(14)) == 12

    def test_a_hundred_at_once_are_counted_each_for_itself(self, doorward):
        key = doorward.a_key(limits=[BURST])
        reply = doorward.v1("POST", "/keys/verify/batch", {"keys": [{"key": key["key"]}] * 15})
        assert passed(reply.json()["results"]) == 10


class TestIntrospection:
    """RFC 7662: whoever knows of limits is told; for everybody else a key that was used too often is inactive."""

    def ask(self, doorward, caller, key, **more):
        return doorward.post("introspect", caller, token=key["key"], **more).json()

    def test_a_verifier_that_knows_nothing_of_limits_takes_one_use_a_question(self, doorward):
        key = doorward.a_key(limits=[BURST])
        verifier = doorward.a_verifier(api=key["api"])
        answers = [self.ask(doorward, verifier, key) for _ in range(12)]
        assert [answer["active"] for answer in answers] == [True] * 10 + [False] * 2
        assert answers[-1] == {"active": False}

    def test_a_verifier_that_knows_is_told_when_to_come_again(self, doorward):
        key = doorward.a_key(limits=[BURST])
        verifier = doorward.a_verifier(api=key["api"])
        good = self.ask(doorward, verifier, key, cost="4")
        assert (good["limits"][0]["remaining"], good["spare"], "limited" in good) == (6, 0, False)
        refused = self.ask(doorward, verifier, key, cost="7")
        assert (refused["active"], refused["limited"]) == (True, "rate_limited")
        assert refused["retry_after"] > 0

    def test_a_verifier_that_knows_is_told_what_can_never_be(self, doorward):
        key = doorward.a_key(limits=[BURST])
        told = self.ask(doorward, doorward.a_verifier(api=key["api"]), key, cost="11")
        assert (told["active"], told["limited"], told["limits"][0]["remaining"]) == (True, "cost_impossible", 10)

    def test_a_hundredth_of_a_rate_is_lent_and_paid_for(self, doorward):
        key = doorward.a_key(limits=[{**BURST, "amount": 1000}])
        verifier = doorward.a_verifier(api=key["api"])
        answer = self.ask(doorward, verifier, key, cost="1", spare="500")
        assert (answer["spare"], answer["limits"][0]["remaining"]) == (10, 989)

    def test_nothing_is_lent_of_a_quota(self, doorward):
        key = doorward.a_key(limits=[{**MONTHLY, "amount": 1000}])
        verifier = doorward.a_verifier(api=key["api"])
        assert self.ask(doorward, verifier, key, cost="1", spare="500")["spare"] == 0

    @pytest.mark.parametrize("wrong", [{"cost": "-1"}, {"cost": "x"}, {"spare": "1000001"}])
    def test_what_is_no_number_is_refused(self, doorward, wrong):
        key = doorward.a_key(limits=[BURST])
        reply = doorward.post("introspect", doorward.a_verifier(api=key["api"]), token=key["key"], **wrong)
        assert (reply.status_code, reply.json()["error"]) == (400, "invalid_request")

    def test_an_administrator_looks_and_takes_nothing(self, doorward):
        key = doorward.a_key(limits=[MONTHLY])
        for _ in range(7):
            reply = doorward.http.post(
                "/oauth/introspect", data={"token": key["key"]},
                headers={"authorization": f"Bearer {doorward.admin_key}"},
            )  # fmt: skip
            assert reply.json()["active"] is True
        assert check(doorward, key)["limits"][0]["remaining"] == 4
