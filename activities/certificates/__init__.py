"""The steps of a certificate's renewal; each one is journalled, and may run twice."""
