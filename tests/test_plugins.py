"""Other people's adapters: found, named with their origin, and never taken by chance."""

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

TEMPLATE = Path(__file__).parents[1] / "examples" / "adapter"

ADAPTER = """
from msgspec import Struct
from brokerd.executor import Clock, Executor
from brokerd_adapters.paper import PaperConfig, PaperExecutor


class Settings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    colour: str = "blue"


def build(name, config, clock):
    config.settings(name, Settings)
    return PaperExecutor(name, PaperConfig(), clock=clock, state_dir=None, base_dir=config.base_dir)


nothing = None
"""


def install(site: Path, distribution: str, version: str, **adapters: str) -> None:
    """Lay a distribution out as an installer does."""
    site.mkdir(exist_ok=True)
    module = distribution.replace("-", "_")
    (site / f"{module}.py").write_text(ADAPTER)
    about = site / f"{module}-{version}.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n"
    )
    lines = [f"{name} = {target}" for name, target in adapters.items()]
    (about / "entry_points.txt").write_text("\n".join(["[brokerd.adapters]", *lines, ""]))


def check(tmp_path: Path, adapter: str, settings: str = "") -> subprocess.CompletedProcess[str]:
    config = tmp_path / "config.toml"
    config.write_text(f'[executors.x]\nadapter = "{adapter}"\n{settings}')
    path = os.pathsep.join([str(tmp_path / "site"), *sys.path])
    return subprocess.run(
        [sys.executable, "-m", "brokerd", "check", "--config", str(config)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
        timeout=60,
        check=False,
    )


def test_an_installed_adapter_is_used_and_listed_with_its_origin(tmp_path: Path) -> None:
    install(tmp_path / "site", "brokerd-fake", "1.2", fake="brokerd_fake:build")
    ran = check(tmp_path, "fake", 'colour = "green"\n')
    assert ran.returncode == 0, ran.stderr
    assert "x: adapter fake, paper" in ran.stdout
    assert "fake: from brokerd-fake 1.2" in ran.stdout


def test_its_settings_are_checked_as_ours_are(tmp_path: Path) -> None:
    install(tmp_path / "site", "brokerd-fake", "1.2", fake="brokerd_fake:build")
    ran = check(tmp_path, "fake", 'color = "green"\n')
    assert ran.returncode == 78
    assert 'executors.x.color is not a known key; did you mean "colour"?' in ran.stderr


@pytest.mark.parametrize(
    ("trades", "why"),
    [
        ("gone.csv", "gone.csv is not there"),
        ("config.toml", "config.toml, line 1: the header is not ts_ms,trade_id"),
    ],
)
def test_a_recording_that_cannot_be_played_is_bad_configuration(
    tmp_path: Path, trades: str, why: str
) -> None:
    """The daemon would start, and its executor never come up."""
    fixtures = Path(__file__).parent / "fixtures" / "paper"
    market = f'market = "replay"\ntrades = "{trades}"\nquotes = "{fixtures}/quotes.csv"\n'
    ran = check(tmp_path, "paper", market)
    assert (ran.returncode, why in ran.stderr) == (78, True), ran.stderr
    ran = check(tmp_path, "paper", market.replace(trades, f"{fixtures}/trades.csv"))
    assert ran.returncode == 0, ran.stderr


def test_a_name_of_ours_is_never_somebody_elses(tmp_path: Path) -> None:
    install(tmp_path / "site", "brokerd-evil", "6.6.6", paper="brokerd_evil:build")
    ran = check(tmp_path, "paper")
    assert ran.returncode == 78
    assert "paper is offered by brokerd itself and by brokerd-evil 6.6.6" in ran.stderr
    assert "uninstall all but one" in ran.stderr


def test_two_offers_of_one_name_are_refused(tmp_path: Path) -> None:
    for distribution in ("brokerd-one", "brokerd-two"):
        module = distribution.replace("-", "_")
        install(tmp_path / "site", distribution, "1", fake=f"{module}:build")
    ran = check(tmp_path, "fake")
    assert ran.returncode == 78
    assert "fake is offered by brokerd-one 1 and by brokerd-two 1" in ran.stderr


@pytest.mark.parametrize(
    ("target", "why"),
    [
        ("brokerd_nowhere:build", "cannot be loaded: ModuleNotFoundError: No module named"),
        ("brokerd_fake:bild", "cannot be loaded: AttributeError"),
        ("brokerd_fake:nothing", "is no function (name, config, clock) -> executor"),
    ],
)
def test_what_does_not_load_is_told_with_its_distribution(
    tmp_path: Path, target: str, why: str
) -> None:
    install(tmp_path / "site", "brokerd-fake", "1.2", fake=target)
    ran = check(tmp_path, "fake")
    assert ran.returncode == 78
    assert "the adapter fake of brokerd-fake 1.2" in ran.stderr
    assert why in ran.stderr


def test_a_broken_adapter_that_nobody_names_is_not_even_imported(tmp_path: Path) -> None:
    install(tmp_path / "site", "brokerd-fake", "1.2", fake="brokerd_nowhere:build")
    ran = check(tmp_path, "paper")
    assert ran.returncode == 0, ran.stderr


def test_a_name_nearly_right_is_told_the_right_one(tmp_path: Path) -> None:
    install(tmp_path / "site", "brokerd-fake", "1.2", kraken="brokerd_fake:build")
    ran = check(tmp_path, "krakn")
    assert ran.returncode == 78
    assert 'there is no adapter krakn; did you mean "kraken"?' in ran.stderr


def test_the_template_is_an_adapter_that_installs(tmp_path: Path) -> None:
    offered = tomllib.loads((TEMPLATE / "pyproject.toml").read_text())["project"]
    install(
        tmp_path / "site",
        offered["name"],
        offered["version"],
        **offered["entry-points"]["brokerd.adapters"],
    )
    shutil.copy(TEMPLATE / "brokerd_example.py", tmp_path / "site")
    key = tmp_path / "main"
    key.touch(mode=0o600)
    key.write_text('api_key = "k"\nsecret = "s"\n')
    settings = 'credential = "main"\nrest_url = "http://127.0.0.1:1"\nsymbols = ["BTCUSDT"]\n'
    ran = check(tmp_path, "example", f'{settings}\n[daemon]\ncredentials_dir = "."\n')
    assert ran.returncode == 0, ran.stderr
    assert "x: adapter example, live" in ran.stdout
