"""A pile of files becomes repaired submissions."""
