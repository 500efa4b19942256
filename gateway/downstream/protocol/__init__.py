"""How requests arrive: HTTP, both protocol eras and one-shots, authentication, sessions and replies."""
