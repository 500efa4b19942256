"""What is asked: the gateway's own tools, calls, prompts, resources and completion."""
