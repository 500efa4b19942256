"""Starting stdio servers while other threads of the gateway work."""

from __future__ import annotations

import subprocess
import sys

_PROGRAM = """
import asyncio, gateway, numpy, uvloop

async def main():
    vectors = numpy.ones((400, 256), dtype=numpy.float32)
    going = True

    def compare():
        while going:
            vectors @ vectors.T

    comparing = asyncio.create_task(asyncio.to_thread(compare))
    for _ in range(150):
        child = await asyncio.create_subprocess_exec("/bin/true")
        await child.wait()
    going = False
    await comparing

uvloop.run(main())
"""


def test_processes_start_while_vectors_are_compared_in_a_thread() -> None:
    subprocess.run([sys.executable, "-c", _PROGRAM], check=True, timeout=60)
