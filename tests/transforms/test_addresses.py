import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.errors import RecipeError
from transforms.addresses import BLOCKED_PORTS, AllowedHosts, is_public, split_port

PUBLIC = [
    "1.1.1.1",
    "8.8.8.8",
    "9.255.255.255",
    "11.0.0.0",
    "100.63.255.255",
    "100.128.0.0",
    "126.255.255.255",
    "128.0.0.0",
    "168.63.129.15",
    "169.253.255.255",
    "172.15.255.255",
    "172.32.0.0",
    "192.0.1.0",
    "192.167.255.255",
    "198.17.255.255",
    "198.20.0.0",
    "223.255.255.255",
    "2001:200::1",
    "2606:4700::1111",
    "2a00:1450:4001:830::200e",
    "::ffff:8.8.8.8",
    "64:ff9b::808:808",
    "2606:4700::5efe:808:808",
]
NOT_PUBLIC = [
    "0.0.0.0",
    "0.1.2.3",
    "10.0.0.0",
    "10.255.255.255",
    "100.64.0.0",
    "100.100.100.200",
    "100.127.255.255",
    "127.0.0.1",
    "127.255.255.255",
    "168.63.129.16",
    "169.254.169.254",
    "169.254.170.2",
    "172.16.0.0",
    "172.31.255.255",
    "192.0.0.192",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.0.1",
    "198.18.0.1",
    "198.19.255.255",
    "198.51.100.1",
    "203.0.113.255",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::7f00:1",  # IPv4-compatible
    "::ffff:127.0.0.1",
    "::ffff:a9fe:a9fe",
    "::ffff:0:127.0.0.1",  # IPv4-translated (RFC 2765)
    "64:ff9b::10.0.0.1",
    "64:ff9b:1::8.8.8.8",
    "100::1",
    "2001::1",  # Teredo
    "2001:2::1",
    "2001:20::1",
    "2001:1ff:ffff::1",
    "2001:db8::1",
    "2002:7f00:1::",
    "2002:808:808::",
    "2606:4700::5efe:10.0.0.1",  # ISATAP
    "2606:4700::200:5efe:127.0.0.1",
    "3fff::1",
    "5f00::1",
    "fc00::1",
    "fd00:ec2::254",
    "fd20:ce::254",
    "fe80::1",
    "fe80::1%eth0",
    "2606:4700::1111%1",
    "fec0::1",
    "ff02::1",
    "",
    "localhost",
    "0x7f.1",
    "2130706433",
    "127.1",
    "0177.0.0.1",
    "[::1]",
    "8.8.8.8:80",
]
# What the registries call globally reachable though it is special, or what we refuse beside them.
DIFFERS = tuple(
    map(
        ipaddress.ip_network,
        (
            "192.0.0.0/24",
            "192.88.99.0/24",
            "168.63.129.16/32",
            "224.0.0.0/4",
            "64:ff9b:1::/48",
            "2001::/23",
            "2002::/16",
            "3fff::/20",
        ),
    )
)


@pytest.mark.parametrize("address", PUBLIC)
def test_is_public_of_public_address_true(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize("address", NOT_PUBLIC)
def test_is_public_of_other_address_false(address: str) -> None:
    assert not is_public(address)


@given(st.ip_addresses(v=4))
def test_is_public_of_ipv4_agrees_with_standard_library(address: ipaddress.IPv4Address) -> None:
    if not any(address in network for network in DIFFERS if network.version == 4):
        assert is_public(str(address)) == address.is_global


@given(st.ip_addresses(v=6, network="2000::/3"))
def test_is_public_of_ipv6_agrees_with_standard_library(address: ipaddress.IPv6Address) -> None:
    isatap = int(address) >> 32 & 0xFDFFFFFF == 0x5EFE
    if not isatap and not any(address in network for network in DIFFERS if network.version == 6):
        assert is_public(str(address)) == address.is_global


@given(st.ip_addresses(v=6))
def test_is_public_of_ipv6_never_more_than_standard_library(
    address: ipaddress.IPv6Address,
) -> None:
    embedding = address in ipaddress.ip_network("64:ff9b::/96") or address.ipv4_mapped is not None
    if is_public(str(address)) and not embedding:
        assert address.is_global
        assert not address.is_multicast


@given(st.ip_addresses(v=4))
def test_is_public_of_embedded_ipv4_that_of_the_address(address: ipaddress.IPv4Address) -> None:
    expected = is_public(str(address))
    assert is_public(f"::ffff:{address}") == expected
    assert is_public(f"64:ff9b::{address}") == expected


@given(st.text())
def test_is_public_of_text_never_raises(text: str) -> None:
    is_public(text)


@pytest.mark.parametrize("port", [22, 25, 6379, 6667, 10080, 11211])
def test_blocked_ports_of_other_services_listed(port: int) -> None:
    assert port in BLOCKED_PORTS


@pytest.mark.parametrize("port", [80, 443, 8000, 8080, 8443])
def test_blocked_ports_of_web_servers_absent(port: int) -> None:
    assert port not in BLOCKED_PORTS


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("name", ("name", None)),
        ("name:80", ("name", 80)),
        ("127.0.0.1:53", ("127.0.0.1", 53)),
        ("::1", ("::1", None)),
        ("[::1]", ("::1", None)),
        ("[::1]:53", ("::1", 53)),
    ],
)
def test_split_port_gives_host_and_port(text: str, expected: tuple[str, int | None]) -> None:
    assert split_port(text) == expected


@pytest.mark.parametrize("text", ["name:", "name:http", "name:65536", "name:-1", "[::1]:x"])
def test_split_port_of_no_port_raises(text: str) -> None:
    with pytest.raises(ValueError, match="no port"):
        split_port(text)


@pytest.mark.parametrize(
    ("entry", "host", "port", "expected"),
    [
        ("site.test", "site.test", 80, True),
        ("site.test", "site.test.", 8080, True),
        ("Site.TEST.", "site.test", 8080, True),
        ("site.test", "www.site.test", 80, False),
        ("site.test:8080", "site.test", 8080, True),
        ("site.test:8080", "site.test", 80, False),
        ("127.0.0.1", "127.0.0.1", 9000, True),
        ("127.0.0.1", "127.0.0.2", 9000, False),
        ("127.0.0.1:80", "127.0.0.1", 80, True),
        ("::1", "::1", 80, True),
        ("[::1]:8080", "::1", 8080, True),
        ("[::1]:8080", "::1", 80, False),
        ("0:0:0:0:0:0:0:1", "::1", 80, True),
        ("bücher.test", "xn--bcher-kva.test", 80, True),
    ],
)
def test_allowed_hosts_contains(entry: str, host: str, port: int, expected: bool) -> None:
    assert ((host, port) in AllowedHosts([entry])) is expected


def test_allowed_hosts_without_entries_empty() -> None:
    assert ("", 80) not in AllowedHosts([])


@pytest.mark.parametrize("entry", ["", "a b", "http://site.test/", "site.test/path", "a:b", "::x"])
def test_allowed_hosts_of_no_host_raises(entry: str) -> None:
    with pytest.raises(RecipeError, match="allow_hosts"):
        AllowedHosts([entry])
