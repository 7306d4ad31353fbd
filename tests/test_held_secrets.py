"""Master keys and peppers by version: whoever holds more than a database was made with can tell which they were."""

from __future__ import annotations

import pytest

from doorward.held_secrets import Current, HeldSecrets, read, text

ONE, TWO, THREE = (bytes([number]) * 32 for number in (1, 2, 3))
FIRST = HeldSecrets({1: ONE}, {1: TWO})


def test_what_is_next_is_held_beside_what_is_current() -> None:
    held = FIRST.with_next(FIRST.newest)
    assert (held.master_keys[1], held.peppers[1]) == (ONE, TWO)
    assert held.newest == Current(2, 1, 2)
    assert len({ONE, TWO, held.master_keys[2], held.peppers[2]}) == 4
    assert held.fingerprints()[FIRST.fingerprint(FIRST.newest)] == FIRST.newest


def test_what_is_next_already_stays_next() -> None:
    half = HeldSecrets({1: ONE, 2: THREE}, {1: TWO})
    held = half.with_next(FIRST.newest)
    assert held.master_keys == half.master_keys
    assert held.newest == Current(2, 1, 2)
    assert held.with_next(FIRST.newest) == held


def test_whoever_holds_the_old_ones_alone_does_not_know_a_database_of_the_new_ones() -> None:
    held = FIRST.with_next(FIRST.newest)
    assert held.fingerprint(held.newest) not in FIRST.fingerprints()


def test_after_old_ones_were_dropped_the_new_ones_are_known_with_and_without_them() -> None:
    held = FIRST.with_next(FIRST.newest)
    left = held.without([1], [1])
    assert left.newest == Current(2, 2, 2)
    assert held.fingerprints()[left.fingerprint(left.newest)] == left.newest
    assert left.fingerprint(left.newest) in left.fingerprints()


def test_no_two_choices_have_one_fingerprint() -> None:
    held = HeldSecrets({1: ONE, 2: TWO}, {1: THREE, 2: ONE, 3: TWO})
    assert len(held.fingerprints()) == 2 * 6


def test_what_is_written_is_read() -> None:
    assert read(text({1: ONE, 12: TWO})) == {1: ONE, 12: TWO}
    assert read("AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE\n") == {1: ONE}


@pytest.mark.parametrize("bad", ["", "short", "{}", "{", '{"1": "short"}', '{"one": "%s"}' % ("A" * 43)])
def test_what_is_not_usable_is_none(bad: str) -> None:
    assert read(bad) is None
