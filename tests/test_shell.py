"""contrib/completion and contrib/man: read by a real shell and a real groff."""

import shutil
import subprocess

import pytest
from docs.shell import CONTRIB, FILES, brokerctl

from brokerd.cli.arguments import COMMANDS, ORD_STATUSES, sentence


def completed(*words: str) -> list[str]:
    """Ask bash what the last of these words may become."""
    script = (
        f"source {CONTRIB / 'completion' / 'brokerctl.bash'};"
        ' COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1));'
        " $(complete -p brokerctl | grep -o '_shtab[a-z_]*') brokerctl \"${@: -1}\";"
        ' printf "%s\\n" "${COMPREPLY[@]}"'
    )
    argv = ["bash", "-c", script, "bash", *words]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=30, check=True)
    return done.stdout.split()


def test_bash_completes_commands_options_and_the_names_a_value_may_have() -> None:
    assert set(completed("brokerctl", "")) >= set(COMMANDS)
    assert completed("brokerctl", "cancel-") == ["cancel-all"]
    assert completed("brokerctl", "orders", "--latest") == ["--latest-group"]
    assert set(completed("brokerctl", "orders", "--ord-status", "")) == set(ORD_STATUSES)
    assert completed("brokerctl", "submit", "--tif", "f") == ["fok"]


@pytest.mark.skipif(not shutil.which("groff"), reason="groff is not installed")
@pytest.mark.parametrize("page", ["brokerctl.1", "brokerd.8"])
def test_the_manual_pages_are_set_without_a_warning(page: str) -> None:
    argv = ["groff", "-man", "-Tascii", "-P-cbou", "-ww", str(CONTRIB / "man" / page)]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=30, check=True)
    assert done.stderr == ""
    assert "NAME" in done.stdout


def test_what_is_written_does_not_depend_on_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Or `make check` would find it stale in every window but one."""
    for columns in ("40", "200"):
        monkeypatch.setenv("COLUMNS", columns)
        for path, written in FILES.items():
            assert written() == path.read_text(encoding="utf-8"), path.name


def test_the_manual_tells_of_every_command_and_of_the_exit_statuses() -> None:
    page = (CONTRIB / "man" / "brokerctl.1").read_text(encoding="utf-8").replace("\\-", "-")
    for name in COMMANDS:
        assert sentence(name) in page
    assert "4 outcome unknown" in page
    assert brokerctl().prog == "brokerctl"
