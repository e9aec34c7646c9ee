"""
Frames of the WebSocket API: a request read, what of it was signed. Pure.

Source: web-socket-api.md. The id is echoed as it was sent, whatever it is.
"""

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Raw, Struct

NO_ID = Raw(b"null")
_encode = msgspec.json.Encoder().encode


class Request(Struct, frozen=True):
    """One frame. Numbers in `params` stay as they were written, for they were signed so."""

    method: str
    id: Raw = NO_ID
    params: dict[str, Any] = {}


read_request = msgspec.json.Decoder(Request, float_hook=str).decode
"""Raises msgspec.DecodeError, UnicodeDecodeError or RecursionError for what is no request."""


def signed_part(texts: Mapping[str, str]) -> bytes:
    """Return what was signed: all parameters but the signature, by name, not encoded."""
    return "&".join(
        f"{name}={texts[name]}" for name in sorted(texts) if name != "signature"
    ).encode()


def texts_of(params: Mapping[str, Any]) -> dict[str, str]:
    """Return parameters as the texts they were written with."""
    texts: dict[str, str] = {}
    for name, value in params.items():
        if isinstance(value, str):
            texts[name] = value
        elif isinstance(value, bool):
            texts[name] = "true" if value else "false"
        elif isinstance(value, list | dict):
            texts[name] = _encode(value).decode()
        elif value is not None:
            texts[name] = str(value)
    return texts
