"""Do peaks of the norm matter? Arms that edit them away, beside arms that edit other states.

`arms` says what is run, `runs` reads what came of it, `effects`, `dose`, `edits` compute on that,
and `section` writes it down. Everything but the arms works on a plain table of a score a question
and arm, wherever that is from.
"""
