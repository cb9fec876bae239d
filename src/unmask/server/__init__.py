"""The server: models behind one address, each with an engine on a thread of its own."""
