"""`tools/call` and `tool_search`: arguments checked, calls relayed, answers written."""
