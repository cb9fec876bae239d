"""Load on a server, from a client's side: requests, when they are sent, and what was measured."""
