"""The REST API: operations declared once, from which routes and their OpenAPI description are made."""
