"""Sparse autoencoders (SAEs) on captured states: training, features, and what norms say of them.

`sae_lens` trains, stores and runs them; it takes seconds to import, so that every function here
imports it itself, and importing this package costs nothing.
"""
