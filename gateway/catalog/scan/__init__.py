"""Looking for what a tool's definition has no business to hold: hidden text, instructions to the model, false names."""
