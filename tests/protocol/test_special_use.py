"""Special-use addresses: each class of T133 is refused, in whatever other address it hides; the public ones are not."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest

from doorward.protocol.special_use import is_special, may_be_called, plain

SPECIAL = (
    # loopback, this network, unspecified
    "127.0.0.1", "127.255.255.254", "0.0.0.0", "0.1.2.3", "::1", "::",
    # private, behind a carrier
    "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "100.64.0.1", "fc00::1", "fd12:3456::1", "fec0::1",
    # link-local, with the metadata services of clouds
    "169.254.169.254", "169.254.170.2", "fe80::1", "fd00:ec2::254",
    # special purposes
    "192.0.0.8", "192.0.0.170", "192.31.196.1", "192.52.193.1", "192.88.99.1", "192.175.48.1", "198.18.0.1",
    "198.19.255.255", "224.0.0.1", "239.255.255.250", "240.0.0.1", "255.255.255.255", "ff02::1", "ff0e::1",
    "100::1", "100:0:0:1::1", "2001:2::1", "2001:10::1", "2001:20::1", "2001:1::1", "2620:4f:8000::1", "5f00::1",
    "4000::1", "e000::1",
    # documentation
    "192.0.2.1", "198.51.100.1", "203.0.113.1", "2001:db8::1", "3fff::1",
    # an IPv4 address within
    "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "::127.0.0.1", "::7f00:1", "64:ff9b::7f00:1",
    "64:ff9b::a9fe:a9fe", "64:ff9b:1::7f00:1", "2002:7f00:1::1", "2002:808:808::1", "::ffff:0:127.0.0.1",
    "2001:0:4136:e378:8000:63bf:3fff:fdd2",
    # a scope
    "fe80::1%eth0",
)  # fmt: skip
PUBLIC = (
    "1.1.1.1", "8.8.8.8", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "172.15.255.255", "172.32.0.0",
    "192.0.1.1", "192.167.255.255", "198.17.255.255", "198.20.0.0", "223.255.255.255", "2606:4700:4700::1111",
    "2001:4860:4860::8888", "2a00:1450::1", "3ffe::1", "::ffff:8.8.8.8", "64:ff9b::808:808",
)  # fmt: skip


@pytest.mark.parametrize("text", SPECIAL)
def test_an_address_of_special_use_is_not_called(text: str) -> None:
    assert is_special(ip_address(text))
    assert not may_be_called(ip_address(text), ())


@pytest.mark.parametrize("text", PUBLIC)
def test_a_public_address_is_called(text: str) -> None:
    assert not is_special(ip_address(text))
    assert may_be_called(ip_address(text), ())


def test_only_the_network_that_was_named_may_be_called_too() -> None:
    named = (ip_network("10.20.0.0/16"), ip_network("fd00:1::/32"))
    for text in ("10.20.0.1", "::ffff:10.20.0.1", "64:ff9b::a14:1", "fd00:1::5"):
        assert may_be_called(ip_address(text), named)
    for text in ("10.21.0.1", "127.0.0.1", "::ffff:10.21.0.1", "fd00:2::5", "2002:a14:1::1"):
        assert not may_be_called(ip_address(text), named)


def test_an_address_means_the_one_that_it_carries() -> None:
    assert str(plain(ip_address("::ffff:192.0.2.1"))) == "192.0.2.1"
    assert str(plain(ip_address("64:ff9b::c000:201"))) == "192.0.2.1"
    assert str(plain(ip_address("2001:db8::1"))) == "2001:db8::1"
