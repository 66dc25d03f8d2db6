"""The `lakatos` command: it parses, calls one function that returns a document, and prints it.

command     the command itself: run, runs, log, show, correct, export, behaviours
options     what the commands have in common
behaviours  what `lakatos behaviours check` finds
review      lakatos review, assess, reviews
regression  lakatos assess of files, rerun, drift
verify      lakatos verify, seal
transcript  lakatos transcript
bench       lakatos bench
tables      documents as tables;  bench_tables: those of the simulated studies
"""

from __future__ import annotations

from lakatos.agent.cli.command import app, main

__all__ = ["app", "main"]
