"""Who calls: users, passwords, sessions, access tokens, devices and how far they are trusted."""
