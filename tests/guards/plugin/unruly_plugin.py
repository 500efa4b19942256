"""A plugin that does what the question's content tells it to."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from typing import Any


def make_guard(settings: dict[str, Any]) -> Any:
    if settings.get("broken"):
        raise RuntimeError("no such thing")

    def judge(question: dict[str, Any]) -> Any:
        does = question["content"].get("do")
        if does == "raise":
            raise ValueError(question["content"])
        if does == "hang":
            child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
            with open(settings["pids"], "w") as file:
                file.write(f"{os.getpid()} {child.pid}")
            time.sleep(600)
        if does == "exit":
            os._exit(3)
        if does == "shout":
            return {"verdict": "change", "content": {"text": "a" * 10 * 1024 * 1024}}
        if does == "nonsense":
            return ["allow"]
        if does == "environment":
            return {"verdict": "deny", "reason": " ".join(sorted(os.environ))}
        print("what is printed is no answer")
        return {"verdict": "change", "content": {"pid": os.getpid()}}

    return judge
