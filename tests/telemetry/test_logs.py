"""What the gateway process logs, and where."""

from __future__ import annotations

import json
import subprocess
import sys

PROGRAM = """
import logging
from gateway.telemetry.logs import configure_logging
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


JSON_PROGRAM = """
import logging
from gateway.telemetry.logs import configure_logging
from gateway.telemetry.trace_context import in_request, in_trace, parse_trace_context
configure_logging("info", "json")
logger = logging.getLogger("gateway.search")
logger.info("found %d,\\nor more", 3)
with in_request("r-1"), in_trace(parse_trace_context({"traceparent": "00-" + "a" * 32 + "-" + "b" * 16 + "-01"})):
    try:
        raise ValueError("odd")
    except ValueError:
        logger.exception("failed")
"""


def test_as_json_each_record_is_an_object_on_a_line_with_its_request_and_trace() -> None:
    done = subprocess.run([sys.executable, "-c", JSON_PROGRAM], capture_output=True, text=True, timeout=60, check=True)
    plain, failed = map(json.loads, done.stderr.splitlines())
    assert plain["message"] == "found 3,\nor more"
    assert (plain["level"], plain["logger"]) == ("info", "gateway.search")
    assert set(plain) == {"time", "level", "logger", "message"}
    assert (failed["request_id"], failed["trace_id"], failed["span_id"]) == ("r-1", "a" * 32, "b" * 16)
    assert "ValueError: odd" in failed["exception"]
