"""Deliberate mistakes in the engine, each of which the tests must notice: ``make mutants``."""
