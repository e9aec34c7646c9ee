"""Where a venue may be: a key never goes over a network in the clear."""

_SEALED = ("https://", "wss://")
_LOOPBACK = tuple(
    f"{scheme}://{host}:"
    for scheme in ("http", "ws")
    for host in ("127.0.0.1", "[::1]", "localhost")
)


def check_address(name: str, url: str) -> None:
    """Raise ValueError, naming the key of the configuration, for what is neither TLS nor this host."""
    if not url.startswith((*_SEALED, *_LOOPBACK)):
        raise ValueError(f"{name} is an https or wss address, or one of this host")
