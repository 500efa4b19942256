"""What was done, called and refused: recorded beside the calls, masked, and read again."""
