"""What is measured: one file a question. A measure gets a ``Bench`` and gives ``Figure``s."""
