"""Refuses every connection that leaves this machine, in each Python process that has this directory in PYTHONPATH."""

import sys
from ipaddress import ip_address


def _refuse(event: str, arguments: tuple) -> None:
    if event == "socket.connect" and isinstance(arguments[1], tuple):
        host = arguments[1][0]
    elif event == "socket.getaddrinfo" and isinstance(arguments[0], str | bytes):
        host = arguments[0].decode() if isinstance(arguments[0], bytes) else arguments[0]
    else:
        return
    if host not in {"", "localhost"} and not _is_of_this_machine(host):
        raise OSError(f"The network is off: {host}")


def _is_of_this_machine(host: str) -> bool:
    try:
        return ip_address(host.partition("%")[0]).is_loopback or ip_address(host).is_unspecified
    except ValueError:
        return False


sys.addaudithook(_refuse)
