"""What recorded norms say of a task, as sections: figures, tables and plain words.

:func:`~l2_harness.analysis.norms.study.study` measures, the other modules write.
"""
