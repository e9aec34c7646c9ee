"""Executors: the ways brokerd can reach a venue, one package or module each."""
