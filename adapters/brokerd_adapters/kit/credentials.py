"""
Credential files: TOML, one for each key, readable by the daemon's user alone.

    api_key = "..."
    secret = "..."                      # HMAC
    private_key = \"\"\"-----BEGIN ...\"\"\"   # or Ed25519 or RSA, as PEM

No message of this file shows a value out of a credential file.
"""

import os
import re
import stat
import tomllib
from pathlib import Path
from typing import Annotated, Any, TypeVar

from msgspec import Meta, Struct

from brokerd.config.load import Config
from brokerd.config.settings import config_error, decode
from brokerd.errors import ConfigError
from brokerd.secrets import REDACTED, Secret

FILE_BYTES_MAX = 64 * 1024

QUOTED_BYTES_MIN = 8
"""Keys are longer than that; what is shorter may stand in any text by chance."""

_NAME = re.compile(r"[\w][\w.@-]{0,254}", re.ASCII)
_PLACE = re.compile(r"\(at [a-z0-9, ]+\)\Z")

T = TypeVar("T", bound=Struct)


class Credential(Struct, frozen=True, kw_only=True):
    """A key, and what proves that it is ours: a shared secret or a private key, not both."""

    api_key: Annotated[Secret, Meta(description="the key's public name at the venue")]
    secret: Annotated[Secret | None, Meta(description="the shared secret of an HMAC key")] = None
    private_key: Annotated[
        Secret | None, Meta(description="the private key, Ed25519 or RSA, as PEM text")
    ] = None
    passphrase: Annotated[Secret | None, Meta(description="what decrypts the private key")] = None

    def __post_init__(self) -> None:
        """Raise ValueError unless there is exactly one way to sign."""
        if (self.secret is None) == (self.private_key is None):
            raise ValueError("it needs either secret or private_key")

    def blank(self, said: bytes) -> bytes:
        """Return what a venue said without the parts of the key that go over the wire."""
        for each in (self.api_key, self.secret):
            text = each.reveal().encode() if each else b""
            if len(text) >= QUOTED_BYTES_MIN:
                said = said.replace(text, REDACTED.encode())
        return said


def load_credential(name: str, config: Config, kind: type[T]) -> T:
    """
    Read the credential file `name` as `kind`; raises ConfigError that says what to mend.

    It lies in systemd's $CREDENTIALS_DIRECTORY, or else in [daemon] credentials_dir.
    """
    directory = config.daemon.credentials_dir
    if directory is None:
        raise ConfigError(
            f"the credential {name} is nowhere to be found",
            hint="set [daemon] credentials_dir, or LoadCredential= in the systemd unit",
        )
    if _NAME.fullmatch(name) is None:
        raise ConfigError("a credential is named by a file name, without a directory")
    path = directory / name
    value, problems = decode(kind, _table(path), ())
    if value is None:
        raise config_error(str(path), problems, {})
    return value


def _table(path: Path) -> dict[str, Any]:
    content = _content(path)
    try:
        # Nothing in it is a number.
        return tomllib.loads(content.decode(), parse_float=str)
    except UnicodeDecodeError:
        where = "it is not UTF-8"
    except RecursionError:
        where = "it is nested too deeply"
    except ValueError as error:
        # Only the place: the rest may quote what stands there.
        place = _PLACE.search(str(error))
        where = place[0].strip("()") if place else "somewhere"
    raise ConfigError(
        f"{path}: not readable as TOML: {where}", hint='values stand in quotes: api_key = "..."'
    )


def _content(path: Path) -> bytes:
    """Read a file that only its owner may read; what is checked is the file that is read."""
    try:
        with path.open("rb") as file:
            _check_mode(path, os.fstat(file.fileno()).st_mode)
            content = file.read(FILE_BYTES_MAX + 1)
    except OSError as error:
        why = (error.strerror or "cannot be read").lower()
        raise ConfigError(f"{path}: {why}", hint="check the path and its permissions") from None
    if len(content) > FILE_BYTES_MAX:
        raise ConfigError(f"{path}: is larger than {FILE_BYTES_MAX} bytes", hint="is it this file?")
    return content


def _check_mode(path: Path, mode: int) -> None:
    """
    Refuse what others may read.

    systemd gives a service its credentials by an access list, whose mask shows as group bits
    (acl(5)); nobody else reaches that directory (systemd.exec(5), Credentials).
    """
    is_systemds = str(path.parent) == os.environ.get("CREDENTIALS_DIRECTORY")
    others = stat.S_IRWXO if is_systemds else stat.S_IRWXG | stat.S_IRWXO
    if mode & others:
        raise ConfigError(
            f"{path}: has mode {stat.S_IMODE(mode):04o}, so that others may read the key",
            hint=f"chmod 600 {path}",
        )
