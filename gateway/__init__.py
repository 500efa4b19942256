"""ModelGate: an MCP gateway with semantic tool search."""

import os

__version__ = "0.1.0"

# What pip calls the parts that make an installation need nothing else. The distribution has a name of its own: on the
# Python package index, `modelgate` belongs to another project.
EMBEDDED_EXTRA = "modelgate-mcp[embedded]"

# Read by NumPy's OpenBLAS when it is loaded. A process that is forked for a stdio server while threads of OpenBLAS
# work never gets to run, and the gateway waits for it for ever; its matrices are too small to be worth threads.
os.environ["OPENBLAS_NUM_THREADS"] = "1"
