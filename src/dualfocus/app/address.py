"""Where the page listens: found out before anything slow is done."""

from __future__ import annotations

import errno
import os
import socket

_OF_THE_PORT = (errno.EADDRINUSE, errno.EACCES)  # taken, or below 1024 and not for everyone


def check_address(host: str, port: int) -> None:
    """Bind a socket and let go of it: gradio would only say that there is no port, whatever is wrong.

    Args:
        host: a name or an address of this machine; IPv6 with or without brackets.
        port: 1 to 65535.

    Raises:
        ValueError: nothing can listen there, naming the option that is wrong.
    """
    try:
        family, kind, _, _, address = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind) as probe:
            if os.name == "posix":  # as the server does: not to wait for connections of an earlier page
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except (OSError, UnicodeError) as error:  # the latter of a name that no host can have
        raise ValueError(_refusal(host, port, error)) from error


def in_url(host: str) -> str:
    """The host as an address of a page has it: IPv6 in brackets; gradio takes it so."""
    return f"[{host}]" if ":" in host and not host.startswith("[") else host


def _refusal(host: str, port: int, error: Exception) -> str:
    reason = getattr(error, "strerror", None) or error
    if getattr(error, "errno", None) in _OF_THE_PORT:
        return f"{host}:{port} cannot be listened on ({reason}): choose another --port"
    return (
        f"{host!r} cannot be listened on ({reason}): choose another --host, "
        "127.0.0.1 for this machine alone or 0.0.0.0 for all its addresses"
    )
