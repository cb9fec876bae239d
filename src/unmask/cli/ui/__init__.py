"""What the commands draw on the terminal: messages, tables, bars and live panels."""
