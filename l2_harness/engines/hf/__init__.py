"""Hidden-state norms of Hugging Face transformers models, read by forward hooks."""
