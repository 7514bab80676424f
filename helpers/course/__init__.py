"""What authors and instructors run: sources to notebooks, submissions to marks."""
