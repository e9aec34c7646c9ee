"""
The API key: which signatures it makes, and until when a signed request is good. Pure.

HMAC-SHA256 in hex (any case), RSA PKCS#1 v1.5 with SHA-256 and Ed25519 in base64; rest-api.md and
web-socket-api.md, "SIGNED".
"""

import base64
import binascii
import hmac

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, padding, rsa

from brokerd.errors import ConfigError
from brokerd.secrets import Secret
from brokerd_adapters.venue.binance.errors import Rejected, bad_request, missing
from brokerd_adapters.venue.binance.params import Params

RECV_WINDOW_MS = 5_000
RECV_WINDOW_MAX_MS = 60_000
AHEAD_MAX_MS = 1_000
_MICROSECONDS_FROM = 10**14

NO_KEY = (401, -2014, "API-key format invalid.")
WRONG_KEY = (401, -2015, "Invalid API-key, IP, or permissions for action.")
WRONG_SIGNATURE = (400, -1022, "Signature for this request is not valid.")
TOO_OLD = (400, -1021, "Timestamp for this request is outside of the recvWindow.")
TOO_NEW = (400, -1021, "Timestamp for this request was 1000ms ahead of the server's time.")


class Key:
    """One API key, with the secret it was given and perhaps a public key that was registered."""

    def __init__(self, api_key: str, secret: Secret, public_key_pem: str = "") -> None:
        self.api_key = api_key
        self._secret = secret.reveal().encode()
        self._public = _public_key(public_key_pem) if public_key_pem else None

    @property
    def may_log_on(self) -> bool:
        """Whether `session.logon` takes it: Ed25519 keys only."""
        return isinstance(self._public, ed25519.Ed25519PublicKey)

    def check_key(self, api_key: str | None) -> None:
        """Refuse a request under no key, or under another."""
        if not api_key:
            raise Rejected(*NO_KEY)
        if not hmac.compare_digest(api_key.encode(), self.api_key.encode()):
            raise Rejected(*WRONG_KEY)

    def check_signature(self, payload: bytes, signature: str | None) -> None:
        """Refuse a payload that the key did not sign."""
        if not signature:
            raise missing("signature")
        digest = hmac.digest(self._secret, payload, "sha256").hex()
        if hmac.compare_digest(digest.encode(), signature.lower().encode()):
            return
        if not self._signed(payload, signature):
            raise Rejected(*WRONG_SIGNATURE)

    def _signed(self, payload: bytes, signature: str) -> bool:
        try:
            raw = base64.b64decode(signature, validate=True)
            if isinstance(self._public, rsa.RSAPublicKey):
                self._public.verify(raw, payload, padding.PKCS1v15(), hashes.SHA256())
                return True
            if isinstance(self._public, ed25519.Ed25519PublicKey):
                self._public.verify(raw, payload)
                return True
        except (binascii.Error, InvalidSignature):
            return False
        return False


def check_time(params: Params, now_ns: int) -> None:
    """Refuse a request whose timestamp is not close enough to the venue's clock."""
    stamp = params.integer("timestamp")
    if stamp is None:
        raise missing("timestamp")
    stamped_ns = stamp * (1_000 if stamp >= _MICROSECONDS_FROM else 1_000_000)
    window = params.decimal("recvWindow")
    window_ns = RECV_WINDOW_MS * 1_000_000 if window is None else int(window * 1_000_000)
    if window_ns > RECV_WINDOW_MAX_MS * 1_000_000:
        raise bad_request(-1131, "recvWindow must be less than 60000")
    if stamped_ns >= now_ns + AHEAD_MAX_MS * 1_000_000:
        raise Rejected(*TOO_NEW)
    if now_ns - stamped_ns > window_ns:
        raise Rejected(*TOO_OLD)


def _public_key(pem: str) -> rsa.RSAPublicKey | ed25519.Ed25519PublicKey:
    try:
        key = serialization.load_pem_public_key(pem.encode())
    except ValueError as error:
        raise ConfigError(f"the public key cannot be read: {error}") from None
    if isinstance(key, rsa.RSAPublicKey | ed25519.Ed25519PublicKey):
        return key
    raise ConfigError("the public key is neither Ed25519 nor RSA")
