"""What examples make of the vectors that tools are ranked by."""
