"""Where clients find the daemon's socket. Imports next to nothing: a shell loop pays for it."""

import errno
import os
import socket

SYSTEM_SOCKET = "/run/brokerd/brokerd.sock"
LOCAL_SOCKET = "var/brokerd.sock"


def socket_paths(named: str | os.PathLike[str] | None) -> list[str]:
    """Return where to look: what was named, $BROKERD_SOCKET, the system's, the directory's own."""
    named = named or os.environ.get("BROKERD_SOCKET")
    return [os.fspath(named)] if named else [SYSTEM_SOCKET, LOCAL_SOCKET]


def connect_first(paths: list[str], timeout_s: float) -> socket.socket:
    """Connect to the first path where there is anything at all; OSErrors name theirs."""
    for path in paths:
        link = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        link.settimeout(timeout_s)
        try:
            link.connect(path)
        except FileNotFoundError:
            link.close()
        except OSError as error:
            link.close()
            error.filename = path
            raise
        else:
            return link
    raise FileNotFoundError(errno.ENOENT, "there is no socket", " or ".join(paths))
