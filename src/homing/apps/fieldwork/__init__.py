"""Field data collection: forms, submissions with media, meters, teams (specs 1 and 2)."""
