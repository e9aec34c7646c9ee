"""The keys of an executor with adapter = "ccxt", and of its credential file."""

from typing import Annotated, Any, cast

from msgspec import Meta, Struct

from brokerd.secrets import Secret
from brokerd_adapters.kit.addresses import check_address


class CcxtConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One account at one exchange, traded on its spot markets."""

    exchange: Annotated[str, Meta(min_length=1, description="ccxt's id of the exchange: kraken")]
    credential: Annotated[str, Meta(min_length=1, description="the name of the credential file")]
    symbols: Annotated[
        tuple[str, ...],
        Meta(
            min_length=1, max_length=200, description='what is traded, by ccxt\'s names: "BTC/USDT"'
        ),
    ]
    sandbox: Annotated[bool, Meta(description="the exchange's test net, where it has one")] = False
    poll_s: Annotated[
        float, Meta(ge=0.1, le=60, description="how often open orders and fills are asked for")
    ] = 2.0
    quote_s: Annotated[float, Meta(ge=0.1, le=60, description="how often quotes are asked for")] = (
        2.0
    )
    options: Annotated[
        dict[str, Any], Meta(description="handed to ccxt as the exchange's options")
    ] = {}
    urls: Annotated[
        dict[str, Any], Meta(description="laid over ccxt's urls, to reach the exchange elsewhere")
    ] = {}

    def __post_init__(self) -> None:
        """Raise ValueError for options that would undo a promise."""
        if sends_again(self.options):
            raise ValueError("options.maxRetriesOnFailure sends orders twice: it stays 0")
        _check_addresses("urls", self.urls)


def sends_again(options: object) -> bool:
    """Say whether ccxt would send a request again by these options, of all methods or of one."""
    if not isinstance(options, dict):
        return False
    named = cast("dict[str, Any]", options)
    return any(
        bool(each) if name in _RETRIES else sends_again(each) for name, each in named.items()
    )


def _check_addresses(name: str, value: object) -> None:
    """Raise ValueError, naming its key, for an address that a key would go to in the clear."""
    if isinstance(value, dict):
        for key, each in cast("dict[str, Any]", value).items():
            _check_addresses(f"{name}.{key}", each)
    elif isinstance(value, list):
        for each in cast("list[object]", value):
            _check_addresses(name, each)
    elif isinstance(value, str) and "://" in value:
        check_address(name, value)


_RETRIES = {"maxRetriesOnFailure", "defaultMaxRetriesOnFailure"}
"""What ccxt reads as it (Exchange.handle_option_and_params)."""


class CcxtCredential(Struct, frozen=True, kw_only=True):
    """What ccxt may want of a key; each exchange takes some of it (`requiredCredentials`)."""

    api_key: Secret | None = None
    secret: Secret | None = None
    password: Secret | None = None
    uid: Secret | None = None
    login: Secret | None = None
    token: Secret | None = None
    two_fa: Secret | None = None
    private_key: Secret | None = None
    wallet_address: Secret | None = None

    def for_ccxt(self) -> dict[str, str]:
        """Return it under ccxt's names, revealed."""
        named = {theirs: getattr(self, ours) for ours, theirs in _NAMES.items()}
        return {theirs: secret.reveal() for theirs, secret in named.items() if secret is not None}


_NAMES = {
    "api_key": "apiKey",
    "secret": "secret",
    "password": "password",
    "uid": "uid",
    "login": "login",
    "token": "token",
    "two_fa": "twofa",
    "private_key": "privateKey",
    "wallet_address": "walletAddress",
}
