"""What ``homing demo`` shows: a server with sample data, and a field season played through on real replicas."""
