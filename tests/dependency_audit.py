"""Whether a locked dependency has a known vulnerability: `python -m tests.dependency_audit requirements.lock`.

pip-audit asks the package index. Where that cannot be reached, or knows no advisories, this says so and passes: a check
that cannot be made must not keep a change out.
"""

from __future__ import annotations

import json
import subprocess
import sys

_SECONDS = 300


def main(lock_file: str) -> int:
    """The exit code: 1 where there is a vulnerability."""
    command = [sys.executable, "-m", "pip_audit", "-r", lock_file, "--no-deps", "--disable-pip", "--format", "json"]
    try:
        run = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=False)
        dependencies = json.loads(run.stdout)["dependencies"]
    except (subprocess.TimeoutExpired, ValueError, KeyError):
        print("The package index could not be asked for advisories; nothing was checked.")
        return 0
    checked = [each for each in dependencies if "vulns" in each]
    found = [each for each in checked if each["vulns"]]
    for each in found:
        for vulnerability in each["vulns"]:
            fixed = ", ".join(vulnerability["fix_versions"]) or "no version yet"
            print(f"{each['name']} {each['version']}: {vulnerability['id']}, mended in {fixed}.")
    print(f"{len(checked)} of {len(dependencies)} dependencies were checked, {len(found)} of them have advisories.")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
