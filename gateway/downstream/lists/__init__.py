"""What tools/list and its like answer: the gateway's own tools, and lists merged from the upstream servers."""
