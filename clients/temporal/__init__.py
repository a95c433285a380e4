"""Temporal as Redoubt uses it: one plugin for client, worker and replayer alike."""
