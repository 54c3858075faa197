"""Listening sockets that outlive the processes that accept from them."""

import socket

from app.errors import ConfigurationError

BACKLOG = 2048
"""Connections that wait in the kernel until a process accepts them."""


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens. Port 0 takes a free one. Raises ConfigurationError."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except OSError as error:
        raise ConfigurationError(f"cannot listen on {host}: {error.strerror}") from None
    # With the protocol given, asyncio sets TCP_NODELAY.
    listener = socket.socket(family, kind, protocol)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(address)
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise ConfigurationError(f"cannot listen on {host} port {port}: {error.strerror}") from None
    return listener


def inherited(descriptor: int) -> socket.socket:
    """Return the listening socket that this process was started with. Raises ConfigurationError."""
    try:
        listener = socket.socket(fileno=descriptor)
    except OSError as error:
        raise ConfigurationError(f"file descriptor {descriptor} is not a socket: {error.strerror}") from None
    if not listener.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        listener.detach()
        raise ConfigurationError(f"file descriptor {descriptor} is a socket that does not listen")
    return listener


def address_of(listener: socket.socket) -> str:
    """Return the URL of a listening socket."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
