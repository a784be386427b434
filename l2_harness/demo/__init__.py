"""The embedded demo model: its problems, its tokenizer, the script that trains it."""
