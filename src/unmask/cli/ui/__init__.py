"""Terminal output of commands: messages, tables, bars and live panels."""
