"""The socket file: made where bots look for it, taken from nobody, gone when the daemon is."""

import asyncio
import errno
import os
import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path

from brokerd.connection import Connection
from brokerd.errors import ConfigError
from brokerd.server import Server


@asynccontextmanager
async def listening(path: Path, server: Server) -> AsyncGenerator[None]:
    """
    Listen on a Unix socket for the length of the block; the file is gone afterwards.

    A socket file that nobody answers on is stale and is removed; one that somebody does is not.
    The file's mode comes from the umask at bind, which here never lets the world in: it is not
    changed after, when it would be late.
    """
    _clear_the_way(path)
    loop = asyncio.get_running_loop()
    # As many may knock at once as may come in: after a restart they all do.
    backlog = server.limits.connections_max
    umask = os.umask(0o077)
    os.umask(umask | 0o007)
    try:
        made = partial(Connection, server)
        listener = await loop.create_unix_server(made, str(path), backlog=backlog)
    except OSError as error:
        raise _no_socket(path, error) from error
    finally:
        os.umask(umask)
    ours = path.stat().st_ino  # noqa: ASYNC240 - one quick call
    try:
        yield
    finally:
        listener.close()
        server.close()
        with suppress(FileNotFoundError):
            if path.stat().st_ino == ours:  # noqa: ASYNC240 - see above, and nothing runs any more
                path.unlink()  # noqa: ASYNC240


def _no_socket(path: Path, error: OSError) -> ConfigError:
    return ConfigError(
        f"the socket {path} cannot be made: {(error.strerror or str(error)).lower()}",
        field="daemon.socket",
        hint="give the daemon's user write access to its directory, or choose another socket",
    )


def _clear_the_way(path: Path) -> None:
    try:
        _remove_stale(path)
    except OSError as error:
        raise _no_socket(path, error) from error


def _remove_stale(path: Path) -> None:
    if path.exists() and not path.is_socket():
        raise ConfigError(
            f"{path} is there and is not a socket", field="daemon.socket", hint="move it away"
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(0)
        said = probe.connect_ex(str(path))
    if said not in {errno.ECONNREFUSED, errno.ENOENT}:  # nobody listens, by connect(2)
        what = f"somebody answers on {path}: another daemon has that socket"
        if said != 0:
            what = f"{path} may be somebody's socket: {os.strerror(said).lower()}"
        hint = "stop it, or choose another socket"
        raise ConfigError(what, field="daemon.socket", hint=hint)
    path.unlink(missing_ok=True)
