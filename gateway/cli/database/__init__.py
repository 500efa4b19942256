"""Commands that look after what the gateway keeps."""
