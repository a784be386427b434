"""The model classes that lm-eval runs. Import them from their own modules: they are heavy."""
