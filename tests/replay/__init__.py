"""Recorded histories that today's code must still replay: the corpus, how it is recorded, and what catches a change."""
