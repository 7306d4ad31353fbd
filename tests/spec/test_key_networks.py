"""A key may be bound to networks (T166): the check and the verifier refuse it from everywhere else."""

from __future__ import annotations

import pytest

NETWORKS = ["192.0.2.0/24", "2001:db8::/32"]


def check(doorward, key, **more):
    return doorward.v1("POST", "/keys/verify", {"key": key["key"], **more}).json()


class TestT166Networks:
    @pytest.mark.parametrize(
        ("address", "reason"),
        [
            ("192.0.2.9", None),
            ("2001:db8::9", None),
            ("192.0.3.9", "network_not_allowed"),
            (None, "network_not_allowed"),
        ],
    )
    def test_a_bound_key_is_good_from_its_networks_alone(self, doorward, address, reason):
        key = doorward.a_key(networks=NETWORKS)
        assert key["networks"] == NETWORKS
        assert check(doorward, key, **({"address": address} if address else {}))["reason"] == reason

    def test_a_verifier_is_told_of_the_networks(self, doorward):
        key = doorward.a_key(networks=NETWORKS)
        answer = doorward.introspect(doorward.a_verifier(api=key["api"]), key["key"])
        assert answer["networks"] == NETWORKS
        free = doorward.a_key(account=key["account"], api=key["api"])
        assert "networks" not in doorward.introspect(doorward.a_verifier(api=key["api"]), free["key"])

    def test_networks_can_be_changed_and_taken_away(self, doorward):
        key = doorward.a_key(networks=NETWORKS)
        assert doorward.v1("PATCH", f"/keys/{key['id']}", {"networks": []}).json()["networks"] == []
        assert check(doorward, key)["active"]
        assert doorward.v1("PATCH", f"/keys/{key['id']}", {"networks": ["10.0.0.0/8"]}).status_code == 200
        assert check(doorward, key, address="192.0.2.9")["reason"] == "network_not_allowed"

    @pytest.mark.parametrize("bad", [["192.0.2.1/24"], ["nowhere"], ["10.0.0.0/33"], ["10.0.0.0/8"] * 51])
    def test_what_is_no_network_is_refused(self, doorward, bad):
        key = doorward.a_key()
        reply = doorward.v1("PATCH", f"/keys/{key['id']}", {"networks": bad})
        assert reply.status_code == 422
        assert [one["field"] for one in reply.json()["errors"]] == ["networks"]

    def test_a_rotated_key_stays_bound(self, doorward):
        key = doorward.a_key(networks=NETWORKS)
        new = doorward.create(f"/keys/{key['id']}/rotate")
        assert check(doorward, new)["reason"] == "network_not_allowed"
        assert check(doorward, new, address="192.0.2.9")["active"]
