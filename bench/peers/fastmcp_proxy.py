"""FastMCP's proxy of a stdio server, run with FastMCP's own interpreter: [--search] PORT COMMAND [ARGUMENT]...

With `--search` clients see its tool for searching, by BM25, in place of the server's tools.
"""

import sys

from fastmcp.server import create_proxy

arguments = sys.argv[1:]
searches = arguments[0] == "--search"
port, command, *arguments = arguments[1:] if searches else arguments
proxy = create_proxy({"mcpServers": {"bench": {"command": command, "args": arguments}}}, name="proxy")
if searches:
    from fastmcp.server.transforms.search.bm25 import BM25SearchTransform

    proxy.add_transform(BM25SearchTransform())
proxy.run(transport="http", host="127.0.0.1", port=int(port), show_banner=False)
