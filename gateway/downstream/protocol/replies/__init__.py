"""How answers go out: their media type, as events, and in parts."""
