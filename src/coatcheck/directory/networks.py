"""The networks from which the API keys of a client, or the API keys and tokens of a processor, are accepted."""

from collections.abc import Iterable, Mapping, Sequence
from ipaddress import ip_address, ip_network

from coatcheck.errors import InvalidRequest

MAX_NETWORKS = 50


def parse_networks(networks: Iterable[str]) -> Sequence[str]:
    """The networks in canonical form, without repetitions; a single address is a network of one.

    Raises:
        InvalidRequest: one is not a network, or there are none or more than `MAX_NETWORKS`.
    """
    parsed = list(dict.fromkeys(_parse(each) for each in networks))
    if not 0 < len(parsed) <= MAX_NETWORKS:
        raise InvalidRequest(f"Give 1 to {MAX_NETWORKS} networks.")
    return parsed


def networks_detail(networks: Sequence[str] | None) -> Mapping[str, str]:
    """What the audit log says of a change: an opened network must be found there later. They are no secret."""
    return {"networks": "all" if networks is None else " ".join(networks)}


def _parse(network: str) -> str:
    try:
        return str(ip_network(network))
    except ValueError:
        address, slash, _ = network.partition("/")
        if slash and _is_address(address) and _is_network(network):
            wider = ip_network(network, strict=False)
            raise InvalidRequest(f"{network} is an address in {wider}. Write {wider} or {address}.") from None
        raise InvalidRequest(f"{network} is not an address or a network such as 203.0.113.0/24.") from None


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _is_network(text: str) -> bool:
    try:
        ip_network(text, strict=False)
    except ValueError:
        return False
    return True
