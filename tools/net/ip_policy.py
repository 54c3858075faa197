"""The IP addresses that tools may call: public ones, and the networks that the deployment allows."""

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Network = IPv4Network | IPv6Network
Address = IPv4Address | IPv6Address

NAT64 = ip_network("64:ff9b::/96")
INTERNAL_NETWORKS = (ip_network("168.63.129.16/32"), ip_network("192.0.0.0/24"), ip_network("192.88.99.0/24"))
"""Networks that some versions of Python call public: host agents at Azure and Oracle, and relays to IPv6."""


class ForbiddenAddress(OSError):
    """Tools may not call this address. The text does not name it, so that errors cannot be used to map a network."""

    def __init__(self) -> None:
        super().__init__("tools may not call the address of this host")


def check_address(address: str, allowed: Sequence[Network] = ()) -> None:
    """Raise ForbiddenAddress unless the address is a public unicast address or is in an allowed network.

    Of an IPv6 address that embeds an IPv4 address, the embedded one is checked.
    """
    try:
        reached = _reached(ip_address(address))
    except ValueError:
        raise ForbiddenAddress from None
    if not _is_allowed(reached, allowed) and not _is_public(reached):
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


def _reached(address: Address) -> Address:
    """Return the address that a packet for this one reaches: the IPv4 address that it embeds, or itself."""
    if not isinstance(address, IPv6Address):
        return address
    if address in NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or address
