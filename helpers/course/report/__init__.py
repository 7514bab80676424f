"""The gradebook becomes tables, feedback pages and what markers see."""
