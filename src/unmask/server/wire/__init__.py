"""Bodies of requests, checked field by field: nothing is accepted and ignored."""
