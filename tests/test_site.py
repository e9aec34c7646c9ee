"""The documentation as a site: it builds without a warning, needs no network, and its commands work."""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag

import pytest
from tests.daemon_process import PATIENCE_S

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"


_VERBATIM = {"code", "pre", "script"}


class Page(HTMLParser):
    """What a page of the site links to, loads, and can be linked to by."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loads: list[str] = []
        self.anchors: set[str] = set()
        self.stray: list[str] = []
        self._in_code = 0
        self.feed(path.read_text(encoding="utf-8"))

    def handle_data(self, data: str) -> None:
        if "`" in data and not self._in_code:
            self.stray.append(data)

    def handle_endtag(self, tag: str) -> None:
        self._in_code -= tag in _VERBATIM

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._in_code += tag in _VERBATIM
        told = {name: value for name, value in attrs if value}
        self.anchors |= {told[name] for name in ("id", "name") if name in told}
        if tag == "a" and "href" in told:
            self.links.append(told["href"])
        elif tag == "link" and "href" in told:
            self.loads.append(told["href"])
        elif "src" in told:
            self.loads.append(told["src"])


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> dict[Path, Page]:
    target = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(target)]
    built = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=200, check=False
    )
    assert built.returncode == 0, built.stderr
    return {path: Page(path) for path in target.rglob("*.html")}


def test_it_builds_without_a_warning_and_has_every_page(site: dict[Path, Page]) -> None:
    target = next(path for path in site if path.name == "index.html").parent
    made = {str(path.relative_to(target)) for path in site}
    asked = {str(path.relative_to(DOCS).with_suffix(".html")) for path in DOCS.rglob("*.md")}
    assert asked <= made
    assert not list(target.rglob("*.py"))


def test_no_markup_is_left_over_on_a_page(site: dict[Path, Page]) -> None:
    """Code that begins on one line of a definition list and ends on another shows its backticks."""
    assert {path.name: page.stray for path, page in site.items() if page.stray} == {}


def test_every_page_is_reached_from_the_first(site: dict[Path, Page]) -> None:
    first = next(path for path in site if path.name == "index.html")
    todo, seen = [first], {first}
    while todo:
        path = todo.pop()
        for link in site[path].links:
            target = _target(path, link)
            if target in site and target not in seen:
                seen.add(target)
                todo.append(target)
    assert {path.name for path in set(site) - seen} <= {"404.html"}


def test_nothing_is_loaded_from_elsewhere(site: dict[Path, Page]) -> None:
    for path, page in site.items():
        if path.name != "404.html":
            assert not [each for each in page.loads if re.match(r"(https?:)?//", each)]
            assert all(_target(path, each).exists() for each in page.loads)


def test_every_link_and_every_anchor_leads_somewhere(site: dict[Path, Page]) -> None:
    for path, page in site.items():
        for link in page.links if path.name != "404.html" else []:
            if re.match(r"[a-z]+:", link):
                continue
            target, anchor = _target(path, link), unquote(urldefrag(link).fragment)
            assert target.exists(), f"{path.name}: {link}"
            if anchor and target in site:
                assert anchor in site[target].anchors, f"{path.name}: {link}"


def _target(path: Path, link: str) -> Path:
    place = unquote(urldefrag(link).url)
    return (path.parent / place).resolve() if place else path


@pytest.mark.parametrize("name", ["README.md", "CHANGELOG.md", "examples/README.md"])
def test_the_readmes_links_lead_somewhere(name: str) -> None:
    path = ROOT / name
    for link in re.findall(r"\]\(([^)#]+)\)", path.read_text()):
        assert (path.parent / link).exists(), link


# The commands.


def blocks(page: str, language: str) -> list[str]:
    """Return the fenced blocks of a page."""
    return re.findall(
        rf"^```{language}\n(.*?)^```", (DOCS / page).read_text(), re.DOTALL | re.MULTILINE
    )


class Reader:
    """Somebody who types in what a page says, in a checkout of their own."""

    def __init__(self, home: Path) -> None:
        self.checkout = home / "brokerd"
        self.checkout.mkdir()
        for name in ("Makefile", "config.toml", "examples", "contrib", ".venv"):
            (self.checkout / name).symlink_to(ROOT / name)
        self.daemon: subprocess.Popen[bytes] | None = None
        self.environ = {
            name: v for name, v in os.environ.items() if not name.startswith("BROKERD_")
        }
        self.environ |= {"HOME": str(home), "BROKERD_SOCKET": "var/brokerd.sock"}
        # What `pip install -e` would have made of this checkout, whatever runs the tests.
        binaries = home / "bin"
        binaries.mkdir()
        programs = {
            "brokerd": "-m brokerd",
            "brokerctl": "-m brokerd.cli",
            "python": "",
            "python3": "",
        }
        for program, module in programs.items():
            script = binaries / program
            script.write_text(f'#!/bin/sh\nexec "{sys.executable}" {module} "$@"\n')
            script.chmod(0o755)
        self.environ["PATH"] = f"{binaries}:{os.environ['PATH']}"

    def start(self, directory: str) -> None:
        """Run the daemon in the first terminal, until it answers."""
        with (self.checkout / directory / "log").open("ab") as log:
            self.daemon = subprocess.Popen(
                ["brokerd", "run"],
                executable=shutil.which("brokerd", path=self.environ["PATH"]),
                cwd=self.checkout / directory,
                env=self.environ,
                stderr=log,
            )
        waiting = "until brokerctl call daemon.ping >/dev/null 2>&1; do :; done"
        self.type(waiting, directory)

    def type(self, commands: str, directory: str) -> str:
        """Run commands as a shell does that stops at the first that fails; return what they print."""
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", commands],
            cwd=self.checkout / directory,
            env=self.environ,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S * 2,
            check=False,
        )
        assert done.returncode == 0, f"{commands}\n{done.stdout}{done.stderr}"
        return done.stdout

    def stop(self) -> int:
        assert self.daemon is not None
        with suppress(ProcessLookupError):
            self.daemon.send_signal(signal.SIGINT)
        return self.daemon.wait(PATIENCE_S)


@pytest.fixture
def reader() -> Iterator[Reader]:
    with tempfile.TemporaryDirectory(prefix="bk") as home:
        reader = Reader(Path(home))
        yield reader
        if reader.daemon is not None and reader.daemon.poll() is None:
            reader.daemon.kill()
            reader.daemon.wait(PATIENCE_S)


FOLLOWS = "brokerctl tail -n 5"
"""Goes on until Ctrl-C: here for as long as it takes to print five lines."""


def test_the_tutorial_works_as_it_is_written(reader: Reader) -> None:
    (bot,) = blocks("tutorial.md", "python")
    directory, told = ".", ""
    for block in blocks("tutorial.md", "sh"):
        commands = block.strip()
        if commands == "make demo":
            told += reader.type("make -o .venv/.run demo DEMO_S=2", ".")
            continue
        if commands == "brokerd run":
            if reader.daemon is not None:
                assert reader.daemon.wait(PATIENCE_S) == -signal.SIGKILL
            reader.start("tutorial")
            continue
        if commands == "python bot.py":
            (reader.checkout / directory / "bot.py").write_text(bot)
        if commands == FOLLOWS:
            commands = f"set +o pipefail; {FOLLOWS} | head -5"
        told += reader.type(commands, directory)
        if "brokerctl" in commands:  # the second terminal, which is in the tutorial from here on
            directory = "tutorial"
    for words in ("my-first", "order_canceled", "order_traded filled", "still-there", "verified"):
        assert words in told
    assert (reader.checkout / "tutorial" / "report.html").stat().st_size > 5_000
    assert reader.stop() == 0


def test_the_journals_page_works_as_it_is_written(reader: Reader) -> None:
    reader.start(".")
    reader.type("brokerctl submit BTCUSDT buy 0.01 --wait venue", ".")
    for commands in blocks("howto/journal.md", "sh"):
        reader.type(commands, ".")
    told = reader.type("brokerctl journal verify backup.db", ".")
    assert '"verified":true' in told
    assert (reader.checkout / "journal.jsonl").read_text().count("order_submitted") == 1


def brokerctl_lines() -> list[str]:
    """Return every call of brokerctl in a block of commands, on any page."""
    lines: list[str] = []
    for page in [*DOCS.rglob("*.md"), ROOT / "README.md"]:
        for block in re.findall(
            r"^```(?:sh|console)\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE
        ):
            lines += re.findall(r"^(?:\$ )?(brokerctl [^|>#&\n]+)", block, re.MULTILINE)
    return sorted(set(lines))


@pytest.mark.parametrize("line", brokerctl_lines())
def test_every_call_of_brokerctl_in_the_documentation_is_one(line: str) -> None:
    """Parsed as brokerctl does; where nobody listens, which is as far as a good call gets."""
    done = subprocess.run(
        ["bash", "-c", line.replace("brokerctl", '"$PYTHON" -m brokerd.cli --socket /nowhere', 1)],
        env={**os.environ, "PYTHON": sys.executable},
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=PATIENCE_S,
        check=False,
        cwd=tempfile.gettempdir(),
    )
    no_terminal = "this needs a terminal" in done.stderr
    no_journal = "there is no journal" in done.stderr
    assert done.returncode in {0, 3, 5} or no_terminal or no_journal, done.stderr
