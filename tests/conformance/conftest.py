"""Every test of the suite runs once for every adapter, and shows no key on the way."""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from structlog.typing import EventDict
from tests.conformance.subjects import subjects


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "make" in metafunc.fixturenames:
        made = subjects()
        metafunc.parametrize("make", made.values(), ids=made.keys())


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> Iterator[list[str]]:
    """Everything that was logged, tracebacks with it, before any line is redacted."""
    told: list[str] = []

    def note(_logger: Any, _name: str, event: EventDict) -> EventDict:
        told.append(repr(structlog.processors.format_exc_info(_logger, _name, dict(event))))
        raise structlog.DropEvent

    class Notes(logging.Handler):
        """Note the lines of the libraries beneath as well, when they are written."""

        def emit(self, record: logging.LogRecord) -> None:
            told.append(self.format(record))

    notes, root = Notes(), logging.getLogger()
    root.addHandler(notes)
    with caplog.at_level(logging.DEBUG):
        before = structlog.get_config()["processors"]
        structlog.configure(processors=[note])
        try:
            yield told
        finally:
            structlog.configure(processors=before)
            root.removeHandler(notes)
