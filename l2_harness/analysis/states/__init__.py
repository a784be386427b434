"""Hidden states of recorded responses: captured once, on disk, read in blocks.

`capture` runs prompt and recorded tokens through the model (teacher forcing) and keeps the state
after each decoder layer, a row a response token; `StateStore` reads them back. Each module imports
torch, lm-eval and pandas itself, so that importing this package costs nothing.
"""
