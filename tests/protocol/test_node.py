"""Nodes: who is lost, whose name it is, which certificates may stand beside each other, and whose clock is wrong."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.protocol.given import NOW

from doorward.protocol import node
from doorward.protocol.node import DRAINING, LOST, READY, STARTING, Node, NodeFacts, Sign

SIGN = Sign("web1", 1, "a", "1.0.0", "0018")
NODE = Node(
    "web1.1", "web1", 1, "a", "1.0.0", "0018", "", READY, NOW - 60, NOW, 1, 42, 0, 0, 3, -1500
)  # fmt: skip


def other(name: str, **values: object) -> Node:
    return replace(NODE, id=f"{name}.1", name=name, **{"clock_skew": 0, **values})  # type: ignore[arg-type]


def test_a_node_is_shown_as_it_said_itself() -> None:
    shown = node.show(NodeFacts(NODE, NOW))
    assert (shown.id, shown.state, shown.position, shown.started_at, shown.seen_at) == (
        "web1.1", READY, "1:42", NOW - 60, NOW,
    )  # fmt: skip
    assert (shown.connected_verifiers, shown.clock_skew) == (3, -1.5)


@pytest.mark.parametrize("state", [STARTING, READY, DRAINING])
def test_who_was_not_seen_for_so_long_is_lost_whatever_he_was(state: str) -> None:
    known = replace(NODE, state=state)
    assert node.show(NodeFacts(known, NOW + node.LOST_AFTER)).state == state
    assert node.show(NodeFacts(known, NOW + node.LOST_AFTER + 1)).state == LOST


def test_a_name_is_of_the_process_that_began_last() -> None:
    assert node.may_bear(SIGN, None, NOW, anew=False)
    assert node.may_bear(SIGN, NODE, NOW, anew=False)
    another = replace(SIGN, instance="b")
    assert node.may_bear(another, NODE, NOW, anew=True)
    assert not node.may_bear(another, NODE, NOW, anew=False)
    assert node.may_bear(another, NODE, NOW + node.LOST_AFTER + 1, anew=False)


def test_a_local_authority_is_for_one_node() -> None:
    assert node.strangers(SIGN, []) == ()
    assert node.strangers(SIGN, [other("web2"), other("web3")]) == ()
    assert node.strangers(SIGN, [other("web2"), other("web3", authority="x")]) == ("web3",)
    local = replace(SIGN, authority="x")
    assert node.strangers(local, [other("web3", authority="x")]) == ()
    assert node.strangers(local, [other("web3", authority="y"), other("web2")]) == ("web2", "web3")


def test_the_clock_that_is_far_from_most_is_astray() -> None:
    far = node.SKEW_LIMIT + 1
    assert node.is_astray(far, [other("web2")])
    assert node.is_astray(-far, [other("web2"), other("web3", clock_skew=1000)])
    assert not node.is_astray(far - 1, [other("web2")])
    assert not node.is_astray(0, [other("web2", clock_skew=far), other("web3", clock_skew=100)])


def test_a_database_with_a_wrong_clock_makes_no_node_astray() -> None:
    far = 2 * node.SKEW_LIMIT
    assert not node.is_astray(far, [])
    assert not node.is_astray(far, [other("web2", clock_skew=far)])
    assert not node.is_astray(far, [other(f"web{n}", clock_skew=far) for n in range(5)])


def test_a_node_of_many_workers_has_one_voice() -> None:
    far = 2 * node.SKEW_LIMIT
    wrong = [replace(other("web2", clock_skew=far), id=f"web2.{n}", worker=n) for n in range(8)]
    assert not node.is_astray(0, [*wrong, other("web3")])
