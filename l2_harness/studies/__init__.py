"""Studies that are made of this project's own commands, one after another."""
