// The TypeScript SDK, version 1, as a client: prints the tools that it is listed and what one of them answers, as JSON.
//
//     node typescript_sdk_1.mjs http|sse URL KEY TOOL ARGUMENTS
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { SSEClientTransport } from "@modelcontextprotocol/sdk/client/sse.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";

const [transport, url, key, tool, given] = process.argv.slice(2);
const Transport = transport === "sse" ? SSEClientTransport : StreamableHTTPClientTransport;
const client = new Client({ name: "typescript-sdk-1", version: "1" });
await client.connect(new Transport(new URL(url), { requestInit: { headers: { "X-API-Key": key } } }));
const tools = [];
let cursor;
do {
  const page = await client.listTools(cursor === undefined ? {} : { cursor });
  tools.push(...page.tools.map((each) => each.name));
  cursor = page.nextCursor;
} while (cursor !== undefined);
const result = await client.callTool({ name: tool, arguments: JSON.parse(given) });
console.log(JSON.stringify({ tools, text: result.content[0].text }));
await client.close();
