"""vLLM: norms recorded inside its compiled model, techniques between the pieces of it."""
