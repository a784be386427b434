"""The benchmarks behind ``tasks/``: documents, offline data, the lm-eval task class, checks.

:mod:`~l2_harness.benchmarks.documents` says what a document is; :mod:`~.mathematics`,
:mod:`~.choices` and :mod:`~.bbh` make documents of the rows of each data set; :mod:`~.task` is the
class that the YAMLs name. Importing the package imports none of them.
"""
