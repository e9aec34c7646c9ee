"""
Signatures: HMAC-SHA256, RSA-SHA256 (PKCS #1 v1.5) and Ed25519 over the bytes of a request.

A signer holds its key where no repr, pickle or log reaches it.
"""

import base64
import hashlib
import hmac
from typing import Literal, Protocol

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from brokerd.errors import ConfigError
from brokerd.secrets import REDACTED, Secret
from brokerd_adapters.kit.credentials import Credential

Algorithm = Literal["hmac", "rsa", "ed25519"]


class Signer(Protocol):
    """Signs requests."""

    algorithm: Algorithm

    def sign(self, payload: bytes) -> str:
        """Return the signature: lowercase hex for HMAC, base64 for the others."""
        ...


class HmacSigner:
    """HMAC-SHA256, in hex."""

    algorithm: Algorithm = "hmac"

    def __init__(self, secret: Secret) -> None:
        self._secret = secret

    def __repr__(self) -> str:
        return f"HmacSigner({REDACTED})"

    def sign(self, payload: bytes) -> str:
        """Return the signature in hex."""
        return hmac.new(self._secret.reveal().encode(), payload, hashlib.sha256).hexdigest()


class RsaSigner:
    """RSA with SHA-256 and PKCS #1 v1.5 padding, in base64."""

    algorithm: Algorithm = "rsa"

    def __init__(self, key: RSAPrivateKey) -> None:
        self._key = key

    def sign(self, payload: bytes) -> str:
        """Return the signature in base64."""
        return base64.b64encode(self._key.sign(payload, PKCS1v15(), hashes.SHA256())).decode()


class Ed25519Signer:
    """Ed25519, in base64."""

    algorithm: Algorithm = "ed25519"

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key

    def sign(self, payload: bytes) -> str:
        """Return the signature in base64."""
        return base64.b64encode(self._key.sign(payload)).decode()


def make_signer(credential: Credential, name: str) -> Signer:
    """Return the signer that fits the credential called `name`; raises ConfigError for a bad key."""
    if credential.secret is not None:
        return HmacSigner(credential.secret)
    pem, passphrase = credential.private_key, credential.passphrase
    if pem is None:
        raise ConfigError(f"the credential {name} has neither secret nor private_key")
    password = passphrase.reveal().encode() if passphrase else None
    try:
        key = serialization.load_pem_private_key(pem.reveal().encode(), password)
    except TypeError:
        told = "needs its passphrase" if password is None else "takes no passphrase"
        raise ConfigError(f"the private_key of credential {name} {told}") from None
    except (ValueError, UnsupportedAlgorithm):
        # The foreign text may quote the key.
        raise ConfigError(
            f"the private_key of credential {name} is not readable",
            hint="it is PEM text, from -----BEGIN to -----END, and the passphrase must fit",
        ) from None
    match key:
        case Ed25519PrivateKey():
            return Ed25519Signer(key)
        case RSAPrivateKey():
            return RsaSigner(key)
        case _:
            raise ConfigError(f"the private_key of credential {name} is neither Ed25519 nor RSA")
