"""The admin pages: plain HTML made on the server, parts of it replaced by htmx."""
