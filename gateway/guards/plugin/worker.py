"""The process that a plugin runs in: `python -m gateway.guards.plugin.worker NAME SECONDS`.

A line of JSON comes in for each question and one goes out for each answer; the first line has the settings. Nothing of
the gateway is imported beside the names of plugins, and nothing that a plugin prints is an answer.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from importlib.metadata import entry_points
from typing import Any

from gateway.guards.installed_plugins import GROUP

_SHOWN_CHARACTERS = 500


def main(name: str, seconds: float) -> None:
    """Answer until the input ends. A question that takes `seconds` ends the process, be the gateway there or not."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    def say(answer: Any) -> None:
        answers.write(json.dumps(answer) + "\n")
        answers.flush()

    settings = json.loads(sys.stdin.readline() or "{}")
    try:
        (point, *_) = entry_points(group=GROUP, name=name)
        judge = point.load()(settings)
    except BaseException as error:  # noqa: BLE001 - a plugin may raise anything
        say({"failed": _described(error)})
        return
    say({"ready": True})
    for line in sys.stdin:
        # Nothing handles the signal, so that it ends the process.
        signal.setitimer(signal.ITIMER_REAL, seconds)
        try:
            answer: Any = {"answer": judge(json.loads(line))}
            text = json.dumps(answer)
        except Exception as error:  # noqa: BLE001 - a plugin may raise anything
            text = json.dumps({"failed": _described(error)})
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
        answers.write(text + "\n")
        answers.flush()


def _described(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"[:_SHOWN_CHARACTERS]


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]))
