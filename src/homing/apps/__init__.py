"""The applications that ship with Homing. They build on the engine and never see each other."""
