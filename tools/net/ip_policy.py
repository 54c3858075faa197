"""The IP addresses that tools may call: public ones, and the networks that the deployment allows."""

from collections.abc import Iterator, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Network = IPv4Network | IPv6Network
Address = IPv4Address | IPv6Address

NAT64 = ip_network("64:ff9b::/96")
INTERNAL_NETWORKS = (ip_network("168.63.129.16/32"), ip_network("192.0.0.0/24"), ip_network("192.88.99.0/24"))
"""Networks that some versions of Python call public: host agents at Azure and Oracle, and relays to IPv6."""


class ForbiddenAddress(OSError):
    """Tools may not call this address. The text does not name it, so that errors cannot be used to map a network."""

    def __init__(self) -> None:
        super().__init__("tools may not call its address")


def check_address(address: str, allowed: Sequence[Network] = ()) -> None:
    """Raise ForbiddenAddress unless the address is a public unicast address or is in an allowed network.

    IPv4 addresses that are embedded in IPv6 addresses are checked, too.
    """
    try:
        outer = ip_address(address)
    except ValueError:
        raise ForbiddenAddress from None
    if not all(_is_allowed(inner, allowed) or _is_public(inner) for inner in _embedded_addresses(outer)):
        raise ForbiddenAddress


def is_literal(host: str) -> bool:
    """Return whether the host is an IP address and not a name."""
    try:
        return bool(ip_address(host))
    except ValueError:
        return False


def _is_allowed(address: Address, allowed: Sequence[Network]) -> bool:
    return any(address in network for network in allowed)


def _is_public(address: Address) -> bool:
    return (
        address.is_global
        and not address.is_multicast
        and not address.is_reserved
        and not address.is_unspecified
        and not (isinstance(address, IPv6Address) and address.is_site_local)
        and not _is_allowed(address, INTERNAL_NETWORKS)
    )


def _embedded_addresses(address: Address) -> Iterator[Address]:
    """Yield the addresses that receive a packet for this one."""
    if not isinstance(address, IPv6Address):
        yield address
    elif address.ipv4_mapped is not None:
        yield address.ipv4_mapped
    elif address in NAT64:
        yield IPv4Address(int(address) & 0xFFFFFFFF)
    elif address.sixtofour is not None:
        yield address.sixtofour
    else:
        yield address
