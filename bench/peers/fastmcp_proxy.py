"""FastMCP's proxy of a stdio server, run with FastMCP's own interpreter: PORT COMMAND [ARGUMENT]..."""

import sys

from fastmcp.server import create_proxy

port, command, *arguments = sys.argv[1:]
proxy = create_proxy({"mcpServers": {"bench": {"command": command, "args": arguments}}}, name="proxy")
proxy.run(transport="http", host="127.0.0.1", port=int(port), show_banner=False)
