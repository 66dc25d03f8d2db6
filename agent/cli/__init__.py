"""The `lakatos` command: it parses, calls one function that returns a document, and prints it.

command     the command itself, and its exit status
options     what the commands have in common
run         lakatos run;  arms: with --arms;  approving: with --approve
log         lakatos runs, log, show, correct, export
mechanism   lakatos mechanism;  mechanism_tables: how it is printed
behaviours  lakatos behaviours;  checking: what it finds
review      lakatos review, assess, reviews
regression  lakatos assess of files, rerun, drift
verify      lakatos verify, seal
study       lakatos study
extend      lakatos extend
mcp         lakatos mcp
transcript  lakatos transcript
bench       lakatos bench;  bench_circuits: of rankings of components;  bench_groundtruth: where the truth is known
tables      documents as tables;  hypothesis_tables: one hypothesis whole;  behaviour_tables: of behaviours
            bench_tables, circuit_tables, groundtruth_tables: of what lakatos bench measures
"""

from __future__ import annotations

from lakatos.agent.cli.command import app, main

__all__ = ["app", "main"]
