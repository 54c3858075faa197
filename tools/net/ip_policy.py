"""Which addresses of the network tools may call: public ones, and what the deployment allows beyond."""

from collections.abc import Iterator, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Network = IPv4Network | IPv6Network
Address = IPv4Address | IPv6Address

NAT64 = ip_network("64:ff9b::/96")
INTERNAL_NETWORKS = (ip_network("168.63.129.16/32"), ip_network("192.0.0.0/24"), ip_network("192.88.99.0/24"))
"""Public by their number, at least to some versions of Python: hosts' agents at Azure and Oracle, relays to IPv6."""


class ForbiddenAddress(OSError):
    """Tools may not call this address. The text does not name it, so that nobody can map a network with it."""

    def __init__(self) -> None:
        super().__init__("its address is not one that tools may call")


def check_address(address: str, allowed: Sequence[Network] = ()) -> None:
    """Raises ForbiddenAddress for anything but a public unicast address, in whatever way it is wrapped."""
    try:
        outer = ip_address(address)
    except ValueError:
        raise ForbiddenAddress from None
    if not all(_is_allowed(inner, allowed) or _is_public(inner) for inner in _embedded_addresses(outer)):
        raise ForbiddenAddress


def is_literal(host: str) -> bool:
    """Whether the host is an address already, and no name."""
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
    """The addresses that a packet to this one ends up at."""
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
