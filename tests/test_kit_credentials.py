"""Key files: who may read them, what is refused, and that no message shows a value."""

import base64
import io
import os
import pickle
import traceback
from pathlib import Path

import pytest
import structlog
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from brokerd.config.load import Config, load_config
from brokerd.errors import ConfigError
from brokerd.secrets import Secret
from brokerd_adapters.kit import Credential, Signer, load_credential, make_signer

CANARY = "hunter2-canary"
BINANCE_SECRET = "NhqPtmdSJYdKjVHjA7PZj4Mge3R5YNiP1e3UZjInClVN65XAbvqqM6A7H5fATj0j"


@pytest.fixture
def config(tmp_path: Path) -> Config:
    (tmp_path / "keys").mkdir()
    path = tmp_path / "config.toml"
    path.write_text('[daemon]\ncredentials_dir = "keys"\n[executors.a]\nadapter = "paper"\n')
    return load_config(path, {})


def write(config: Config, text: str, mode: int = 0o600) -> Path:
    assert config.daemon.credentials_dir is not None
    path = config.daemon.credentials_dir / "main"
    path.write_text(text)
    path.chmod(mode)
    return path


def refusal(config: Config, text: str, mode: int = 0o600, name: str = "main") -> str:
    write(config, text, mode)
    with pytest.raises(ConfigError) as caught:
        load_credential(name, config, Credential)
    told = "".join(traceback.format_exception(caught.value))
    assert CANARY not in told
    return str(caught.value)


def test_a_file_for_its_owner_alone_is_read(config: Config) -> None:
    write(config, f'api_key = "{CANARY}"\nsecret = "s"\n')
    credential = load_credential("main", config, Credential)
    assert credential.api_key.reveal() == CANARY
    assert credential.secret == Secret("s")
    assert CANARY not in repr(credential)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644, 0o622, 0o601])
def test_a_file_that_others_may_use_is_refused_with_the_cure(config: Config, mode: int) -> None:
    told = refusal(config, f'api_key = "{CANARY}"\nsecret = "s"\n', mode)
    assert f"has mode {mode:04o}" in told
    assert f"chmod 600 {config.daemon.credentials_dir}/main" in told


def test_systemds_own_directory_may_show_an_access_list_as_group_bits(
    config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(config, 'api_key = "k"\nsecret = "s"\n', 0o440)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(config.daemon.credentials_dir))
    load_credential("main", config, Credential)
    write(config, 'api_key = "k"\nsecret = "s"\n', 0o444)
    with pytest.raises(ConfigError, match="0444"):
        load_credential("main", config, Credential)


def test_unknown_and_missing_keys_are_told_with_the_nearest(config: Config) -> None:
    told = refusal(config, f'api_kei = "{CANARY}"\nsecret = "s"\n')
    assert 'api_kei is not a known key; did you mean "api_key"?' in told
    assert "api_key is missing" in told


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (f"api_key = {CANARY}", "not readable as TOML: at line 1, column"),
        (f'api_key = "{CANARY}', "not readable as TOML"),
        (f'api_key = "a"\napi_key = "{CANARY}"', "not readable as TOML"),
        (f'"{CANARY}" = [' + "[" * 5_000, "nested too deeply|not readable"),
        ("api_key = 12345", "api_key must be text, not what it is"),
        (f'api_key = ["{CANARY}"]', "api_key must be text, not what it is"),
        ('api_key = ""\nsecret = "s"', "api_key"),
        (f'api_key = "{CANARY}"', "main: is refused: it needs either secret or private_key"),
        (f'api_key = "{CANARY}"\nsecret = "s"\nprivate_key = "p"', "either secret or private_key"),
        ("#" + "x" * 70_000, "larger than"),
    ],
)
def test_what_is_no_credential_is_refused_without_showing_it(
    config: Config, text: str, why: str
) -> None:
    told = refusal(config, text)
    assert any(each in told for each in why.split("|"))


def test_bytes_that_are_no_text_are_refused(config: Config) -> None:
    path = write(config, "")
    path.write_bytes(b'api_key = "\xff"')
    with pytest.raises(ConfigError, match="not UTF-8"):
        load_credential("main", config, Credential)


def test_a_file_that_is_not_there_is_told_with_its_path(config: Config) -> None:
    with pytest.raises(ConfigError, match="keys/other: no such file"):
        load_credential("other", config, Credential)


@pytest.mark.parametrize("name", ["../main", "/etc/passwd", "", ".hidden", "a/b"])
def test_a_name_leads_nowhere_else(config: Config, name: str) -> None:
    with pytest.raises(ConfigError, match="without a directory"):
        load_credential(name, config, Credential)


def test_without_a_directory_the_operator_is_told_both_ways(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text('[executors.a]\nadapter = "paper"\n')
    with pytest.raises(ConfigError, match=r"credentials_dir, or LoadCredential="):
        load_credential("main", load_config(path, {}), Credential)


def hmac_signer() -> Signer:
    return make_signer(Credential(api_key=Secret("k"), secret=Secret(BINANCE_SECRET)), "main")


def pem(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | Ed25519PrivateKey) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode()


def key_signer(text: str, passphrase: str | None = None) -> Signer:
    credential = Credential(
        api_key=Secret("k"),
        private_key=Secret(text),
        passphrase=Secret(passphrase) if passphrase else None,
    )
    return make_signer(credential, "main")


def test_hmac_signs_as_binance_documents() -> None:
    payload = (
        "symbol=LTCBTC&side=BUY&type=LIMIT&timeInForce=GTC&quantity=1&price=0.1"
        "&recvWindow=5000&timestamp=1499827319559"
    )
    assert hmac_signer().sign(payload.encode()) == (
        "c8db56825ae71d6d79447849e617115f4a920fa2acdcab2b053c4b2838bd6b71"
    )


def test_ed25519_signs_as_binance_documents() -> None:
    """The FIX logon of Binance's fix-api.md."""
    der = "MC4CAQAwBQYDK2VwBCIEIIJEYWtGBrhACmb9Dvy+qa8WEf0lQOl1s4CLIAB9m89u"
    signer = key_signer(f"-----BEGIN PRIVATE KEY-----\n{der}\n-----END PRIVATE KEY-----\n")
    payload = "A\x01EXAMPLE\x01SPOT\x011\x0120240627-11:17:25.223"
    assert signer.algorithm == "ed25519"
    assert signer.sign(payload.encode()) == (
        "4MHXelVVcpkdwuLbl6n73HQUXUf1dse2PCgT1DYqW9w8AVZ1RACFGM+5UdlGPrQHrgtS3CvsRURC1oj73j8gCA=="
    )


def test_rsa_signs_with_pkcs1_v15_and_sha256() -> None:
    key = rsa.generate_private_key(65537, 2048)
    signer = key_signer(pem(key))
    assert signer.algorithm == "rsa"
    signature = base64.b64decode(signer.sign(b"payload"))
    key.public_key().verify(signature, b"payload", padding.PKCS1v15(), hashes.SHA256())


def test_an_encrypted_key_needs_its_passphrase() -> None:
    key = Ed25519PrivateKey.generate()
    text = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"open sesame"),
    ).decode()
    assert key_signer(text, "open sesame").algorithm == "ed25519"
    for passphrase, why in ((None, "needs its passphrase"), ("wrong", "not readable")):
        with pytest.raises(ConfigError, match=why):
            key_signer(text, passphrase)
    with pytest.raises(ConfigError, match="takes no passphrase"):
        key_signer(pem(key), "open sesame")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (CANARY, "not readable"),
        (f"-----BEGIN PRIVATE KEY-----\n{CANARY}\n-----END PRIVATE KEY-----", "not readable"),
        (pem(ec.generate_private_key(ec.SECP256R1())), "neither Ed25519 nor RSA"),
    ],
)
def test_a_key_that_cannot_sign_is_refused_without_showing_it(text: str, why: str) -> None:
    with pytest.raises(ConfigError, match=why) as caught:
        key_signer(text)
    told = "".join(traceback.format_exception(caught.value))
    assert CANARY not in told
    assert "SECP" not in told


@pytest.mark.parametrize("kind", ["hmac", "rsa", "ed25519"])
def test_a_signer_shows_no_key(kind: str) -> None:
    """Neither printed, formatted, pickled nor in a log line with the traceback of its failure."""
    text = {
        "hmac": CANARY,
        "rsa": pem(rsa.generate_private_key(65537, 2048)),
        "ed25519": pem(Ed25519PrivateKey.generate()),
    }[kind]
    secret = Secret(text)
    key = {"secret": secret} if kind == "hmac" else {"private_key": secret}
    credential = Credential(api_key=Secret("k"), **key)
    signer = make_signer(credential, "main")
    lines = io.StringIO()
    log = structlog.wrap_logger(
        structlog.PrintLogger(lines), processors=[structlog.processors.format_exc_info, str_of]
    )
    try:
        signer.sign("text")  # type: ignore[arg-type]
    except (TypeError, AttributeError, ValueError) as error:
        log.exception("failed", signer=signer, credential=credential, error=repr(error))
    told = f"{signer!r} {signer} {credential} {credential!r} {vars(signer)} {lines.getvalue()}"
    assert lines.getvalue()
    for line in text.strip().splitlines():
        if "PRIVATE KEY" not in line:
            assert line not in told
    with pytest.raises(TypeError):
        pickle.dumps(signer)


def str_of(_logger: object, _name: str, members: dict[str, object]) -> str:
    return str(members)


def test_the_mode_that_counts_is_of_the_file_behind_a_link(config: Config) -> None:
    """systemd and many operators link keys into place."""
    path = write(config, 'api_key = "k"\nsecret = "s"\n', 0o644)
    link = path.with_name("linked")
    os.symlink(path, link)  # noqa: PTH211
    with pytest.raises(ConfigError, match="0644"):
        load_credential("linked", config, Credential)
