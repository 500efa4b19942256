"""How many of the corpus' bad definitions the scan finds, and how many harmless ones it holds something against.

    python -m bench.poisoning [--data FILE] [--show N]

`--data` names a file of real tools, JSON lines with `server`, `name`, `description`, `inputSchema`, gzipped or not;
their servers are scanned each beside all others, as a gateway would.
"""

from __future__ import annotations

import argparse
import gzip
import json
import time
from collections import Counter
from pathlib import Path
from typing import Any

from gateway.catalog.naming import make_exposed_name, slugify
from gateway.catalog.scan.finding import Finding, OtherTool
from gateway.catalog.scan.other_tools import OtherTools, ScannedServer
from gateway.catalog.scan.scanner import scan_definitions
from tests.catalog.scan.corpus import BAD, HARMLESS, NEIGHBOURS, scan
from tests.catalog.scan.unseen import UNSEEN_BAD


def held(findings: tuple[Finding, ...]) -> list[Finding]:
    return [finding for finding in findings if finding.is_serious]


def corpus(name: str, definitions: dict[str, dict[str, Any]]) -> None:
    flagged = {case for case, tool in definitions.items() if held(scan([tool], NEIGHBOURS)[0])}
    print(f"{name}: {len(flagged)} of {len(definitions)} flagged ({len(flagged) / len(definitions):.1%})")


def real(path: Path, show: int) -> None:
    content = path.read_bytes()
    text = (gzip.decompress(content) if path.suffix == ".gz" else content).decode()
    tools = [json.loads(line) for line in text.splitlines()]
    servers: dict[str, list[dict[str, Any]]] = {}
    for tool in tools:
        servers.setdefault(tool["server"], []).append(
            {key: tool[key] for key in ("name", "description", "inputSchema")}
        )
    numbers = {server: number for number, server in enumerate(servers, start=1)}
    everything = [
        OtherTool(
            tool["name"],
            make_exposed_name(slugify(server), tool["name"], ()),
            server,
            slugify(server),
            server_id=numbers[server],
        )
        for server, of_server in servers.items()
        for tool in of_server
    ]
    for beside in (False, True):
        started = time.perf_counter()
        rules: Counter[str] = Counter()
        flagged = []
        others = OtherTools(everything if beside else ())
        for server, of_server in servers.items():
            scanned = ScannedServer(numbers[server], {tool["name"] for tool in of_server}, prefixed=True)
            found = scan_definitions(of_server, [None] * len(of_server), scanned, others)
            for tool, findings in zip(of_server, found, strict=True):
                against = held(findings)
                rules.update({finding.rule for finding in against})
                if against:
                    flagged.append((server, tool["name"], against[0]))
        seconds = time.perf_counter() - started
        how = "each server beside all others" if beside else "each server alone"
        print(
            f"{path.name}, {how}: {len(flagged)} of {len(tools)} flagged ({len(flagged) / len(tools):.2%}), "
            f"{seconds / len(tools) * 1000:.2f} ms a tool"
        )
        for rule, count in rules.most_common():
            print(f"  {rule}: {count}")
        for server, name, finding in flagged[:: max(1, len(flagged) // show)] if show else ():
            print(f"    {server} / {name}: {finding.rule} at {finding.place}: {finding.excerpt!r}")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path)
    parser.add_argument("--show", type=int, default=0, help="how many of the flagged real tools to show")
    arguments = parser.parse_args()
    corpus("bad", BAD)
    corpus("harmless", HARMLESS)
    corpus("bad, not tuned on", UNSEEN_BAD)
    if arguments.data is not None:
        real(arguments.data, arguments.show)


if __name__ == "__main__":
    main()
