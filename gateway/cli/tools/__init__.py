"""Commands about tools: reviewed, and compared with each other."""
