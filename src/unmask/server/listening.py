"""The address of a server, taken before anything is loaded."""

from __future__ import annotations

import errno
import ipaddress
import socket
import sys

from unmask.errors import InputError

WAITING = 2048
"""Connections that may wait to be accepted."""
_TAKEN = (errno.EADDRINUSE, getattr(errno, "WSAEADDRINUSE", errno.EADDRINUSE))


def listener(host: str, port: int) -> socket.socket:
    """Return a socket that listens. Raises InputError that says what to type instead."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except (socket.gaierror, UnicodeError) as error:
        raise InputError(
            f"--host {host}: no such address ({error}): type --host 127.0.0.1 for this machine "
            "alone, or --host 0.0.0.0 for all that reach it"
        ) from error
    found = socket.socket(family, kind, protocol)
    try:
        if sys.platform != "win32":  # where it would share a port that is in use
            found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.bind(address)
        found.listen(WAITING)
    except OSError as error:
        found.close()
        raise InputError(_advice(host, port, error)) from error
    return found


def _advice(host: str, port: int, error: OSError) -> str:
    if error.errno in _TAKEN:
        return (
            f"port {port} of {host} is in use by another program: type another one, such as "
            f"--port {port % 65535 + 1}, or --port 0 for any that is free"
        )
    if isinstance(error, PermissionError):
        return f"port {port} needs the rights of an administrator: type --port 8000"
    if error.errno == errno.EADDRNOTAVAIL:
        return f"--host {host} is no address of this machine: type --host 127.0.0.1"
    return f"--host {host} --port {port}: {error.strerror}"


def is_local(host: str) -> bool:
    """Return whether only programs of this machine reach an address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def url(host: str, port: int) -> str:
    """Return the address for a browser; one that stands for all is shown as this machine's."""
    shown = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"http://[{shown}]:{port}" if ":" in shown else f"http://{shown}:{port}"
