"""Connections, SQL files, migrations, the embedded server, the value codec. No rules of synchronisation."""
