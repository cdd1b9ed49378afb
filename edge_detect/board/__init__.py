"""The computer that this runs on: heat, clock, power, memory."""
