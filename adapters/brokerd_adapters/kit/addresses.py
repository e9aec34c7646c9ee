"""Where a venue may be: a key never goes over a network in the clear."""

from urllib.parse import urlsplit

_SEALED = {"https", "wss"}
_PLAIN = {"http", "ws"}
_LOOPBACK = {"127.0.0.1", "::1", "localhost"}


def check_address(name: str, url: str) -> None:
    """Raise ValueError, naming the key of the configuration, for what is neither TLS nor this host."""
    scheme, host = _scheme_and_host(url)
    if not host or not (scheme in _SEALED or (scheme in _PLAIN and host in _LOOPBACK)):
        raise ValueError(f"{name} is an https or wss address, or one of this host")


def _scheme_and_host(url: str) -> tuple[str, str]:
    try:
        address = urlsplit(url)
    except ValueError:  # brackets that hold no address
        return "", ""
    return address.scheme, address.hostname or ""
