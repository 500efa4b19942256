"""What admins say of tools in place of what their servers say, and tools that are switched off."""
