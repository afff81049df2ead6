"""What comes over HTTP: the gateway, the routes, and their documentation."""
