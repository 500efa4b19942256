"""A node of OpenSearch for a developer, until Ctrl-C.

python -m tests.opensearch.run [VERSION]
"""

from __future__ import annotations

import signal
import sys
import tempfile
from pathlib import Path

from tests.opensearch.install import VERSION, NotInstalledError
from tests.opensearch.node import running_node


def main() -> None:
    version = (sys.argv[1:2] or [VERSION])[0]
    with tempfile.TemporaryDirectory() as folder:
        try:
            with running_node(Path(folder) / "node", version=version, heap_mb=1024) as node:
                print(f"OpenSearch {version} answers at {node.url}\n")
                print(f'MODELGATE_SEARCH_INDEX=opensearch MODELGATE_OPENSEARCH_URLS="{node.url}" modelgate serve')
                print(f"TEST_OPENSEARCH_URL={node.url} .venv/bin/pytest tests/search/index", flush=True)
                signal.pause()
        except NotInstalledError as error:
            sys.exit(f"OpenSearch could not be installed: {error}")
        except KeyboardInterrupt:
            pass


if __name__ == "__main__":
    main()
