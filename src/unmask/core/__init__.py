"""Shared by every floor: types, errors, randomness, and helpers for numpy and torch."""
