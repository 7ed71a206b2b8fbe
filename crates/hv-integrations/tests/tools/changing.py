"""A tool server on the real SDK whose definition is what the environment says; over HTTP where a PORT is given."""

import os

from mcp.server.mcpserver import MCPServer
from mcp.types import ToolAnnotations

server = MCPServer("changing")


@server.tool(description=os.environ["SAYS"])
def add(a: int, b: int) -> int:
    return a + b


@server.tool(description="Looks.", annotations=ToolAnnotations(readOnlyHint=True))
def look() -> str:
    return "seen"


if "PORT" in os.environ:
    server.run("streamable-http", host="127.0.0.1", port=int(os.environ["PORT"]))
else:
    server.run("stdio")
