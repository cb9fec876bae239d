"""Generations as commands run them: drawn while they run, written to files afterwards."""
