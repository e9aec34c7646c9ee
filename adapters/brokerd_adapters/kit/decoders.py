"""
Decoders for what venues send, safe to ask for in any thread.

msgspec (0.22) fills in what it knows of a class while it makes the first decoder for it, and lets
other threads run meanwhile: two that meet a class for the first time together end the process with
a segmentation fault. So a decoder is made under a lock, and shared once it is whole.
"""

from threading import Lock
from typing import TypeVar

import msgspec

T = TypeVar("T")

_MAKING = Lock()
_DECODERS: dict[tuple[object, bool], msgspec.json.Decoder[object]] = {}


def decoder(kind: type[T], *, strict: bool = True) -> msgspec.json.Decoder[T]:
    """Return the one decoder of JSON for `kind`; not strict, it takes numbers for text and back."""
    key = kind, strict
    found = _DECODERS.get(key)
    if found is None:
        with _MAKING:
            found = _DECODERS.get(key)
            if found is None:
                found = _DECODERS[key] = msgspec.json.Decoder(kind, strict=strict)
    return found  # type: ignore[return-value]
