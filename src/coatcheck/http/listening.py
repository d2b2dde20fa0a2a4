"""The socket of a server. Without the server, which takes a second to import: a port in use is noticed at once."""

import socket

from coatcheck.errors import ConfigurationError

BACKLOG = 2048


def listen(host: str, port: int) -> socket.socket:
    """Returns a bound, listening socket. Port 0 selects a free port.

    Raises:
        ConfigurationError: the port is in use, or the address is not this machine's.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        bound = socket.socket(family, kind, protocol)
    except OSError as error:
        raise ConfigurationError(
            f"{host} is not an address to listen on: {error.strerror}. Change --host or the setting host."
        ) from error
    # Without it, a restart fails while connections of the previous process are in TIME_WAIT.
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind(address)
        bound.listen(BACKLOG)
    except OSError as error:
        bound.close()
        raise ConfigurationError(
            f"Cannot listen on {host} port {port}: {error.strerror}. Choose another with --port."
        ) from error
    bound.setblocking(False)
    return bound
