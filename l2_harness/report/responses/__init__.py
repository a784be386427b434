"""Recorded responses for a page: chosen, judged, with their tokens' text and norms."""
