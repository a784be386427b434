"""What the project costs, measured side by side with a named rival in one process."""
