"""Configuration: what wins, what is refused, and in which words."""

import os
import re
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from msgspec import Meta, Struct

from brokerd.config.load import Config, DaemonConfig, config_reference, find_config, load_config
from brokerd.config.settings import decode
from brokerd.config.wording import describe, reference_table
from brokerd.errors import ConfigError
from brokerd.secrets import Secret
from brokerd.terms import Side

ROOT = Path(__file__).parents[1]
CANARY = "hunter2-canary"
PAPER = '[executors.paper]\nadapter = "paper"\n'


class Faults(Struct, frozen=True, kw_only=True):
    rate: Annotated[float, Meta(ge=0, le=1)] = 0.0


class VenueSettings(Struct, frozen=True, kw_only=True):
    market: Literal["synthetic", "replay"] = "synthetic"
    seed: int = 1
    fee_bps: Decimal = Decimal(0)
    balances: dict[str, Decimal] = {}
    symbols: tuple[str, ...] = ()
    trades: Path | None = None
    faults: Faults | None = None
    low: int = 0
    high: int = 1

    def __post_init__(self) -> None:
        if self.low > self.high:
            raise ValueError("low must not be above high")


def load(tmp_path: Path, text: str, **environ: str) -> Config:
    path = tmp_path / "config.toml"
    path.write_text(text)
    return load_config(path, environ)


def refusal(tmp_path: Path, text: str, **environ: str) -> str:
    """Load what must be refused; return the sentences, the file's directory taken out."""
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, text, **environ)
    return str(caught.value).replace(f"{tmp_path}/", "")


def settings_refusal(tmp_path: Path, text: str, **environ: str) -> str:
    config = load(tmp_path, PAPER + text, **environ)
    with pytest.raises(ConfigError) as caught:
        config.settings("paper", VenueSettings)
    return str(caught.value).replace(f"{tmp_path}/", "")


def test_the_shipped_file_is_the_paper_executor_without_key_or_network() -> None:
    config = load_config(ROOT / "config.toml", {})
    assert config.daemon == DaemonConfig(
        socket=ROOT / "var" / "brokerd.sock", journal=ROOT / "var" / "journal.db"
    )
    assert [*config.executors] == ["paper"]
    assert config.executors["paper"].adapter == "paper"
    assert config.executors["paper"].settings == {"market": "synthetic", "seed": 1}


def test_the_account_that_the_shipped_configuration_comments_out_is_a_good_one(
    tmp_path: Path,
) -> None:
    shipped, _, account = (ROOT / "config.toml").read_text().partition("# No secret is ever")
    path = tmp_path / "config.toml"
    path.write_text(shipped + re.sub(r"^# (\[|\w+ = )", r"\1", f"# {account}", flags=re.MULTILINE))
    account_of = load_config(path, {}).executors["binance-main"]
    assert account_of.adapter == "binance"
    assert account_of.limits is not None
    assert account_of.limits.open_orders_max == 50


def test_every_key_that_is_written_is_the_key_that_is_read(tmp_path: Path) -> None:
    daemon: dict[str, Any] = {
        "socket": "s.sock", "journal": "/j.db", "credentials_dir": "keys", "log_format": "json",
        "log_level": "debug", "request_deadline_s": 2.5, "retry_window_s": 0, "poll_floor_s": 5,
        "shutdown_grace_s": 1, "stall_s": 3, "inbox_max": 100, "connections_max": 2,
        "in_flight_max": 3, "orders_in_memory_max": 4, "reserve_free_mb": 5,
    }  # fmt: skip
    assert set(daemon) == set(DaemonConfig.__struct_fields__)
    text = "[daemon]\n" + "".join(f"{key} = {value!r}\n" for key, value in daemon.items())
    read = load(tmp_path, text + PAPER).daemon
    paths = {"socket": tmp_path / "s.sock", "journal": Path("/j.db")}
    assert read == DaemonConfig(**{**daemon, **paths, "credentials_dir": tmp_path / "keys"})
    assert type(read.request_deadline_s) is float


def test_the_file_is_looked_for_in_four_places(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("brokerd.config.load.PLACES", (Path("config.toml"), tmp_path / "etc.toml"))
    with pytest.raises(ConfigError, match=r"neither config\.toml nor .*etc\.toml exists"):
        find_config(None, {"BROKERD_CONFIG": ""})
    (tmp_path / "etc.toml").touch()
    assert find_config(None, {}) == tmp_path / "etc.toml"
    (tmp_path / "config.toml").touch()
    assert find_config(None, {}) == Path("config.toml")
    assert find_config(None, {"BROKERD_CONFIG": "b.toml"}) == Path("b.toml")
    assert find_config("a.toml", {"BROKERD_CONFIG": "b.toml"}) == Path("a.toml")


def test_relative_paths_start_at_the_file_not_at_the_caller(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "config.toml").write_text(PAPER)
    monkeypatch.chdir(tmp_path)
    config = load_config(Path("etc/config.toml"), {})
    assert config.base_dir == tmp_path / "etc"
    assert config.daemon.socket == tmp_path / "etc" / "var" / "brokerd.sock"


def test_systemds_directories_stand_above_the_file_and_variables_above_both(tmp_path: Path) -> None:
    text = '[daemon]\nsocket = "a.sock"\njournal = "a.db"\ncredentials_dir = "a"\n' + PAPER
    systemd = {
        "RUNTIME_DIRECTORY": "/run/brokerd:/run/other",
        "STATE_DIRECTORY": "/var/lib/brokerd",
        "CREDENTIALS_DIRECTORY": "/run/credentials/brokerd.service",
    }
    daemon = load(tmp_path, text, **systemd).daemon
    assert daemon.socket == Path("/run/brokerd/brokerd.sock")
    assert daemon.journal == Path("/var/lib/brokerd/journal.db")
    assert daemon.credentials_dir == Path("/run/credentials/brokerd.service")
    daemon = load(tmp_path, text, **systemd, BROKERD_DAEMON__SOCKET="/tmp/mine.sock").daemon
    assert daemon.socket == Path("/tmp/mine.sock")
    assert daemon.journal == Path("/var/lib/brokerd/journal.db")


def test_a_variable_overrides_a_key_with_the_type_toml_gives_it(tmp_path: Path) -> None:
    text = '[executors.binance-main]\nadapter = "binance"\nseed = 1\n[executors.binance-main.faults]\nrate = 0.5\n'
    config = load(
        tmp_path,
        text,
        BROKERD_DAEMON__LOG_LEVEL="debug",
        BROKERD_DAEMON__POLL_FLOOR_S="2.5",
        BROKERD_EXECUTORS__BINANCE_MAIN__SEED="2",
        BROKERD_EXECUTORS__binance_main__FAULTS__RATE="0.25",
        BROKERD_EXECUTORS__BINANCE_MAIN__SYMBOLS='["BTCUSDT"]',
        BROKERD_EXECUTORS__BINANCE_MAIN__NOTE="1\nadapter = 'evil'",
        BROKERD_CONFIG="elsewhere",
        BROKERD_SOCKET="elsewhere",
        PATH="/bin",
    )
    assert (config.daemon.log_level, config.daemon.poll_floor_s) == ("debug", 2.5)
    assert config.executors["binance-main"].adapter == "binance"
    assert config.executors["binance-main"].settings == {
        "seed": 2,
        "faults": {"rate": Decimal("0.25")},
        "symbols": ["BTCUSDT"],
        "note": "1\nadapter = 'evil'",
    }


@pytest.mark.parametrize(
    ("variable", "said"),
    [
        ("BROKERD_DAEMON__SCOKET", '$BROKERD_DAEMON__SCOKET: daemon.scoket is not a known key; did you mean "socket"?'),
        ("BROKERD_DAEMON_SOCKET", '$BROKERD_DAEMON_SOCKET names no key of this configuration; did you mean "BROKERD_DAEMON__SOCKET"?'),
        ("BROKERD_EXECUTORS__PAPR__ADAPTER", 'did you mean "BROKERD_EXECUTORS__PAPER__ADAPTER"?'),
        ("BROKERD_DAEMON__INBOX_MAX", "$BROKERD_DAEMON__INBOX_MAX: daemon.inbox_max must be a whole number from 16 to 1000000, not this text"),
        ("BROKERD_", "$BROKERD_ names no key"),
        ("BROKERD_DAEMON__SOCKET__PATH", "names no key"),
        ("BROKERD_EXECUTORS__PAPER", "names no key"),
        ("BROKERD_EXECUTORS__PAPER__ADAPTER__X", "names no key"),
    ],
)  # fmt: skip
def test_a_variable_that_is_no_key_is_refused_by_its_name(
    tmp_path: Path, variable: str, said: str
) -> None:
    assert said in refusal(tmp_path, PAPER, **{variable: "x"})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('scoket = "x"', 'config.toml: daemon.scoket is not a known key; did you mean "socket"?'),
        ('zzz = "x"', "config.toml: daemon.zzz is not a known key; known are connections_max, "),
        ("socket = 5", "config.toml: daemon.socket must be a path, not 5"),
        ('socket = ""', "config.toml: daemon.socket must be a path, not empty text"),
        ("poll_floor_s = 0", "daemon.poll_floor_s must be a number from 1 to 3600, not 0"),
        ("poll_floor_s = true", "daemon.poll_floor_s must be a number from 1 to 3600, not true"),
        ("inbox_max = 4.5", "daemon.inbox_max must be a whole number from 16 to 1000000, not 4.5"),
        ("inbox_max = []", "daemon.inbox_max must be a whole number from 16 to 1000000, not a list"),
        ('log_format = "jsn"', 'daemon.log_format must be one of "auto", "console", "json", not "jsn"; did you mean "json"?'),
        ("stall_s = 1979-05-27", "daemon.stall_s must be a number from 1 to 3600, not a date or time"),
        ("stall_s = nan", "config.toml: not readable as TOML: nan is not a plain decimal number"),
        ("stall_s = 1.0000000000000000000001", "digits before or after the point"),
    ],
)  # fmt: skip
def test_a_wrong_key_is_refused_with_what_is_right(tmp_path: Path, text: str, said: str) -> None:
    assert said in refusal(tmp_path, f"[daemon]\n{text}\n{PAPER}")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("socket = \n", "config.toml: not readable as TOML: Invalid value (at line 1, column 10)"),
        ("a = 1\na = 2\n", "Cannot overwrite a value (at line 2, column 6)"),
        ("a = " + "[" * 5000, "it is nested too deeply"),
        ("x = 1 # " + "y" * 2**20, "is larger than 1048576 bytes"),
        (PAPER + "[deamon]", 'config.toml: deamon is not a known table; did you mean "daemon"?'),
        ("daemon = 3\n" + PAPER, "config.toml: daemon must be a table"),
        ("", "config.toml: executors needs at least one table, such as [executors.paper]"),
        ("executors = 3", "config.toml: executors needs at least one table"),
        ("executors.paper = 3", "config.toml: executors.paper must be a table: [executors.paper]"),
        ("[executors.paper]", "executors.paper.adapter is missing: it must be text that is not empty"),
        ("[executors.paper]\nadapter = 1", "executors.paper.adapter must be text that is not empty, not 1"),
        ("[executors.Paper]\nadapter = 'x'", "executors.Paper is no name for an executor"),
        ('[executors."-x"]\nadapter = "x"', "executors.-x is no name for an executor"),
        ('[executors."a\\nb"]\nadapter = "x"', "executors.'a\\nb' is no name for an executor"),
        (f"[executors.{'x' * 33}]\nadapter = 'x'", "is no name for an executor"),
    ],
)  # fmt: skip
def test_a_file_that_is_no_configuration_is_refused(tmp_path: Path, text: str, said: str) -> None:
    assert said in refusal(tmp_path, text)


def test_everything_that_is_wrong_is_told_at_once(tmp_path: Path) -> None:
    text = "[daemon]\ninbox_max = 0\nsockt = 'x'\n[executors.paper]\n[executors.X]\n[deamon]\n"
    assert len(refusal(tmp_path, text).splitlines()) == 5


@pytest.mark.parametrize(
    ("path", "said"),
    [("missing.toml", "no such file or directory"), (".", "is a directory")],
)
def test_a_file_that_cannot_be_read_is_named_with_the_reason(
    tmp_path: Path, path: str, said: str
) -> None:
    with pytest.raises(ConfigError, match=said) as caught:
        load_config(tmp_path / path, {})
    assert str(tmp_path) in str(caught.value)


def test_a_file_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_bytes(b"a = '\xff'")
    with pytest.raises(ConfigError, match="byte 6 is not UTF-8"):
        load_config(tmp_path / "config.toml", {})


def test_a_socket_path_ends_at_107_bytes(tmp_path: Path) -> None:
    fits = "/" + "é" * 53
    assert len(os.fsencode(fits)) == 107
    assert load(tmp_path, f'[daemon]\nsocket = "{fits}"\n{PAPER}').daemon.socket == Path(fits)
    said = refusal(tmp_path, f'[daemon]\nsocket = "{fits}x"\n{PAPER}')
    assert "daemon.socket is 108 bytes long" in said
    assert "ends at 107" in said


@pytest.mark.parametrize(
    "text",
    [
        f'[daemon]\npassword = "{CANARY}"\n' + PAPER,
        PAPER + f'api_key = "{CANARY}"',
        PAPER + f'apiSecret = "{CANARY}"',
        PAPER + f'[executors.paper.nested]\nprivate_key = "{CANARY}"',
        PAPER + f'hosts = [{{ token = "{CANARY}" }}]',
        PAPER + f'rest_url = "https://bob:{CANARY}@venue.example/"',
        PAPER + f'pem = """-----BEGIN PRIVATE KEY-----\n{CANARY}\n"""',
        f'secret = "{CANARY}"\n' + PAPER,
        PAPER + f'token = "{CANARY}',
        PAPER + f'adapter = "{CANARY}"',
        PAPER + f'[daemon]\ninbox_max = "{CANARY}"',
    ],
)
def test_a_secret_in_the_file_is_refused_and_never_shown(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, text)
    assert CANARY not in str(caught.value) + repr(caught.value) + repr(caught.value.data)
    assert caught.value.__context__ is None or CANARY not in repr(caught.value.__context__)


def test_a_secret_in_a_variable_is_refused_by_the_variables_name(tmp_path: Path) -> None:
    said = refusal(tmp_path, PAPER, BROKERD_EXECUTORS__PAPER__API_KEY=CANARY)
    assert said.startswith("$BROKERD_EXECUTORS__PAPER__API_KEY: executors.paper.api_key looks like")
    assert CANARY not in said


def test_an_executor_may_be_called_token_and_name_a_credential(tmp_path: Path) -> None:
    text = '[executors.token]\nadapter = "x"\ncredential = "main"\n'
    assert load(tmp_path, text).executors["token"].settings == {"credential": "main"}


def test_settings_are_read_as_the_adapters_own_type(tmp_path: Path) -> None:
    config = load(
        tmp_path,
        PAPER
        + 'market = "replay"\nseed = 7\nfee_bps = 0.10\nbalances = { BTC = "1.50", USDT = 3 }\n'
        + 'symbols = ["BTCUSDT"]\ntrades = "t.csv"\nfaults = { rate = 1 }\n',
    )
    assert config.settings("paper", VenueSettings) == VenueSettings(
        market="replay",
        seed=7,
        fee_bps=Decimal("0.1"),
        balances={"BTC": Decimal("1.5"), "USDT": Decimal(3)},
        symbols=("BTCUSDT",),
        trades=Path("t.csv"),
        faults=Faults(rate=1.0),
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("sed = 1", 'config.toml: executors.paper.sed is not a known key; did you mean "seed"?'),
        ('seed = "x"', "executors.paper.seed must be a whole number, not this text"),
        ('market = "live"', 'executors.paper.market must be one of "replay", "synthetic", not "live"'),
        ('fee_bps = "NaN"', "executors.paper.fee_bps is not a plain decimal number"),
        ('balances = { BTC = "1_0" }', "executors.paper.balances is not a plain decimal number"),
        ("balances = { BTC = [] }", "executors.paper.balances is wrong at "),
        ("symbols = [1]", "executors.paper.symbols is wrong at [0]: expected `str`, got `int`"),
        ("faults = { rate = 2 }", "executors.paper.faults.rate must be a number from 0 to 1, not 2"),
        ("faults = { rte = 2 }", 'executors.paper.faults.rte is not a known key; did you mean "rate"?'),
        ("faults = 1", "executors.paper.faults must be a table, not 1"),
        ("low = 2", "executors.paper is refused: low must not be above high"),
    ],
)  # fmt: skip
def test_wrong_settings_are_refused_in_the_same_words(tmp_path: Path, text: str, said: str) -> None:
    assert said in settings_refusal(tmp_path, text)


def test_a_setting_from_a_variable_is_refused_by_the_variables_name(tmp_path: Path) -> None:
    said = settings_refusal(tmp_path, "seed = 1", BROKERD_EXECUTORS__PAPER__SEED="x")
    assert said.startswith("$BROKERD_EXECUTORS__PAPER__SEED: executors.paper.seed must be")


def test_the_reference_names_every_key_with_its_default_and_meaning() -> None:
    rows = config_reference({"venue": VenueSettings}).splitlines()
    for key in DaemonConfig.__struct_fields__:
        [row] = [row for row in rows if row.startswith(f"| `{key}` |")]
        assert all(cell.strip() for cell in row.strip("|").split("|"))
    assert '| `market` | one of "replay", "synthetic" | `"synthetic"` |  |' in rows
    assert (
        "| `adapter` | text that is not empty | required | the code that speaks to the venue |"
        in rows
    )
    assert "| `poll_floor_s` | a number from 1 to 3600 | `30.0` |" in "\n".join(rows)


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        (Annotated[int, Meta(ge=1)], "a whole number of 1 or more"),
        (Annotated[int, Meta(le=9)], "a whole number of 9 or less"),
        (Annotated[float, Meta(gt=0)], "a number above 0"),
        (Annotated[float, Meta(gt=0, le=1e6)], "a number above 0 and at most 1000000"),
        (int | bool | None, "a whole number or true or false"),
        (Side, 'one of "buy", "sell"'),
        (Side | None, 'one of "buy", "sell"'),
        (list[str], "a list"),
        (dict[str, int], "a table"),
        (Secret, "text"),
    ],
)
def test_a_type_is_told_in_words(kind: Any, said: str) -> None:
    assert describe(kind) == said


def test_a_misspelt_enumeration_is_refused_with_the_right_word() -> None:
    class Settings(Struct, frozen=True):
        side: Side | None = Side.BUY

    _, problems = decode(Settings, {"side": "sel"}, ("x",))
    assert problems[0].what == 'must be one of "buy", "sell", not "sel"; did you mean "sell"?'
    assert '| `side` | one of "buy", "sell" | `"buy"` |' in reference_table(Settings)


def test_a_secret_type_is_read_from_text_and_not_shown() -> None:
    class Credential(Struct, frozen=True):
        api_key: Secret

    value, problems = decode(Credential, {"api_key": CANARY}, ("main",))
    assert value is not None
    assert value.api_key.reveal() == CANARY
    assert CANARY not in repr(value)
    value, problems = decode(Credential, {"api_key": 5}, ("main",))
    assert "5" not in problems[0].what
