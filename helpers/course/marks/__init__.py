"""Captured values become verdicts, and verdicts marks in the gradebook."""
