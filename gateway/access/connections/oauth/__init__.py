"""OAuth tokens of persons: signed in for, exchanged, or vouched for by the company's provider."""
