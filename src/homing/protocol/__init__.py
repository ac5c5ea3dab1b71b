"""What travels between a device and the server: messages, errors, limits, tokens. Pure; no I/O anywhere below here."""
