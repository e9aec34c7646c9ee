"""
What is signed, and how parameters are written on either road.

REST: the query as it is sent, percent-encoded first (rest-api.md, SIGNED Endpoint security).
WebSocket: all parameters sorted by name, nothing encoded (web-socket-api.md, SIGNED request example).
"""

from collections.abc import Mapping
from urllib.parse import quote

Params = Mapping[str, str | int]
"""Parameters of a request: decimals as text, ids and times as numbers."""


def rest_payload(params: Params) -> str:
    """Return the parameters as a query: what is sent and what is signed, in the order given."""
    return "&".join(
        f"{quote(name, safe='')}={quote(str(text), safe='')}" for name, text in params.items()
    )


def ws_payload(params: Params) -> str:
    """Return what is signed of a WebSocket request's parameters."""
    return "&".join(f"{name}={params[name]}" for name in sorted(params))
