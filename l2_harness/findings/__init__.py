"""How any finding is shown: sections, figures, terminal panels and a few words.

Knows nothing of what was measured.
"""
