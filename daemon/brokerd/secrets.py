"""
Secrets: a type that does not show its value, and the words that give one away.

Rule 1: a secret is a `Secret` from the moment its file is read; `reveal` is called where a request
        is signed, and nowhere else.
Rule 2: what slips past rule 1 in a text from outside, a venue's words or an exception's, is
        blanked before it is journalled or answered, and `redact` stands before every log line.
"""

import hmac
import re
from decimal import Decimal
from functools import lru_cache
from typing import Any, NoReturn, cast

REDACTED = "[redacted]"

_BARE = frozenset({int, float, bool, Decimal, type(None)})

_WORDS = (
    r"api[_-]?key|listen[_-]?key|private[_-]?key|secret|signature|token|password|passphrase"
    r"|authorization"
)
_KEY = re.compile(rf"(?:^|_)(?:{_WORDS})(?:_|$)", re.ASCII)
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])", re.ASCII)
# Repeats are bounded, so that no text makes the search slow.
_IN_TEXT = re.compile(
    rf"((?:{_WORDS})[\w-]{{0,32}}[\"']?\s{{0,4}}[=:]\s{{0,4}}[\"']?(?:(?:bearer|basic)\s)?)"
    r"[^\s&\"',;}]+",
    re.ASCII | re.IGNORECASE,
)
_PEM = re.compile(r"-----BEGIN [A-Z ]{0,32}PRIVATE KEY-----.*?(?:-----END|\Z)", re.DOTALL)
_URL_PASSWORD = re.compile(r"(?<=://)[^/@\s:]{0,256}:[^/@\s]{1,256}@")


class Secret:
    """
    Text that may be used and not seen: printing, formatting, JSON and pickling never tell it.

    It is no subclass of `str` on purpose: every encoder would write a subclass out.
    """

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """Return the secret itself, for signing."""
        return self._text

    def __repr__(self) -> str:
        return REDACTED

    def __format__(self, spec: str) -> str:
        return format(REDACTED, spec)

    def __bool__(self) -> bool:
        return bool(self._text)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(self._text.encode(), other._text.encode())

    def __hash__(self) -> int:
        return hash(self._text)

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret is not pickled or copied")


@lru_cache(maxsize=4096)
def is_secret_key(key: str) -> bool:
    """Say whether a key's name gives its value away as a secret: api_key, apiSecret, X-MBX-APIKEY."""
    return _KEY.search(_HUMP.sub("_", key).lower().replace("-", "_")) is not None


def has_secret(text: str) -> bool:
    """Say whether a text holds a private key, or a URL with a password in it."""
    return _PEM.search(text) is not None or _URL_PASSWORD.search(text) is not None


def redact_text(text: str) -> str:
    """Blank what follows a secret's name in a text (`signature=...`), private keys, URL passwords."""
    if "=" not in text and ":" not in text and "-----" not in text:
        return text
    text = _IN_TEXT.sub(rf"\1{REDACTED}", text)
    text = _PEM.sub(REDACTED, text)
    return _URL_PASSWORD.sub(f"{REDACTED}@", text)


def redact(value: Any) -> Any:
    """Return the same tree of dicts, lists and scalars with every value that looks secret blanked."""
    if isinstance(value, str):
        return redact_text(value)
    if isinstance(value, dict):
        return redact_members(cast("dict[str, Any]", value))
    if isinstance(value, list | tuple):
        return [redact(item) for item in cast("list[Any]", value)]
    return value


def redact_members(members: dict[str, Any]) -> dict[str, Any]:
    """Return the same dict with every value blanked that looks secret, or whose key does."""
    return {
        key: REDACTED if is_secret_key(key) else value if type(value) in _BARE else redact(value)
        for key, value in members.items()
    }
