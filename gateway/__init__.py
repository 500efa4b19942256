"""ModelGate: an MCP gateway with semantic tool search."""

import os

__version__ = "0.2.0"

# What pip calls the parts that make an installation need nothing else. The distribution has a name of its own: on the
# Python package index, `modelgate` belongs to another project.
EMBEDDED_EXTRA = "modelgate-mcp[embedded]"
OTEL_EXTRA = "modelgate-mcp[otel]"
OPENSEARCH_EXTRA = "modelgate-mcp[opensearch]"

# Read by NumPy's OpenBLAS when it is loaded. A process that is forked for a stdio server while threads of OpenBLAS
# work never gets to run, and the gateway waits for it for ever; its matrices are too small to be worth threads.
os.environ["OPENBLAS_NUM_THREADS"] = "1"

# Read by onnxruntime when it is loaded. From 1.29 on it reports to its maker what it runs, over the network and under a
# number that it leaves in the home directory; the call that turns this off comes too late for the first report.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
