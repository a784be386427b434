"""What ties the signal to an inference engine."""
