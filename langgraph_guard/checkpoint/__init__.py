"""Where runs survive: checkpointers that keep what they acknowledged, and give back exactly what was written."""
