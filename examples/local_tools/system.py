"""Facts about the machine."""

from __future__ import annotations

import os
import platform
import shutil
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class SystemInfo:
    """Facts about the machine that runs this server; sizes in bytes, null where the system does not tell."""

    operating_system: str
    release: str
    architecture: str
    hostname: str
    python_version: str
    cpu_count: int | None
    load_average_1_minute: float | None
    memory_total_bytes: int | None
    memory_available_bytes: int | None
    disk_total_bytes: int
    disk_free_bytes: int
    uptime_seconds: float | None


def system_info(directory: Path) -> SystemInfo:
    """Read the facts now; the disk is the one that holds `directory`."""
    memory = _memory_of_linux()
    disk = shutil.disk_usage(directory)
    try:
        load: float | None = round(os.getloadavg()[0], 2)
    except (OSError, AttributeError):
        load = None
    return SystemInfo(
        operating_system=platform.system(),
        release=platform.release(),
        architecture=platform.machine(),
        hostname=platform.node(),
        python_version=platform.python_version(),
        cpu_count=os.cpu_count(),
        load_average_1_minute=load,
        memory_total_bytes=memory.get("MemTotal"),
        memory_available_bytes=memory.get("MemAvailable"),
        disk_total_bytes=disk.total,
        disk_free_bytes=disk.free,
        uptime_seconds=_uptime_of_linux(),
    )


def _memory_of_linux() -> dict[str, int]:
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return {}
    fields = (line.split(":") for line in lines)
    return {name: int(rest.split()[0]) * 1024 for name, rest in fields}


def _uptime_of_linux() -> float | None:
    try:
        return float(Path("/proc/uptime").read_text(encoding="ascii").split()[0])
    except OSError:
        return None
