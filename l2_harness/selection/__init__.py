"""Response selection: scores, votes and selectors over the recorded rows of n responses.

Pure functions on arrays and texts. Nothing here knows an engine, a file or lm-eval; a choice is
the same whether it is made while the responses are sampled or afterwards from their traces.
"""
