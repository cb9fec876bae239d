"""Routes, one file an endpoint."""
