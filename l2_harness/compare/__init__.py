"""Suites of models, tasks and methods, run through lm-eval, and the leaderboards made of them."""
