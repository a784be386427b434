"""What recorded norms say: correlation, profiles, intervals, plots.

Pure functions on arrays and tables; nothing here runs a model. Each module imports scipy, pandas
or matplotlib itself, so that importing this package costs nothing.
"""
