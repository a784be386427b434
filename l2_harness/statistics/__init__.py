"""Estimates, resamples, intervals, paired tests, ranks, power: numbers in, numbers out.

Knows nothing of tables, traces, tasks or models.
"""
