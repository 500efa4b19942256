"""ModelGate: an MCP gateway with semantic tool search."""

import os

__version__ = "0.1.0"

# Read by NumPy's OpenBLAS when it is loaded. A process that is forked for a stdio server while threads of OpenBLAS
# work never gets to run, and the gateway waits for it for ever; its matrices are too small to be worth threads.
os.environ["OPENBLAS_NUM_THREADS"] = "1"
