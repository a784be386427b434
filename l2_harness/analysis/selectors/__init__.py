"""Selectors compared after the fact, all on the same recorded samples.

Reads traces, lm-eval's sample files or anybody's JSONL; runs no model.
"""
