"""Generations as commands run them: watched while they go, drawn and written afterwards."""
