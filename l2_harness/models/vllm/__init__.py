"""lm-eval's ``vllm`` with norms recorded and techniques."""
