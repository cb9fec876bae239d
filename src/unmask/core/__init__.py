"""What every floor shares: types, errors, randomness, and helpers for numpy and torch."""
