// @modelcontextprotocol/client: prints the tools that it is listed and what one of them answers, as JSON.
//
//     node typescript_client.mjs legacy|auto URL KEY TOOL ARGUMENTS
import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";

const [mode, url, key, tool, given] = process.argv.slice(2);
const client = new Client({ name: "typescript-client", version: "1" }, { versionNegotiation: { mode } });
const requestInit = { headers: { "X-API-Key": key } };
await client.connect(new StreamableHTTPClientTransport(new URL(url), { requestInit }));
const { tools } = await client.listTools();
const result = await client.callTool({ name: tool, arguments: JSON.parse(given) });
console.log(JSON.stringify({ tools: tools.map((each) => each.name), text: result.content[0].text }));
await client.close();
