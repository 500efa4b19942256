"""What the gateway process logs, and where."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import logging
from gateway.telemetry import configure_logging
configure_logging("info")
logging.getLogger("gateway.search").info("found")
logging.getLogger("gateway.search").debug("too much")
logging.getLogger("httpx2").info("GET /?key=sk-1")
logging.getLogger("httpx2").warning("odd answer")
"""


def test_records_of_the_level_and_above_go_to_standard_error_and_requests_of_libraries_do_not() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == ""
    first, second = done.stderr.splitlines()
    assert first.endswith(" INFO gateway.search: found")
    assert second.endswith(" WARNING httpx2: odd answer")
