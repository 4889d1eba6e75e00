"""What should happen: pure decisions. No I/O, no clock, no randomness; everything comes in as an argument."""
