"""The toolbox for any coding agent, over the Model Context Protocol: the same functions under the same budget.

The server loads no model. A run is a process of its own; calls and answers go by way of the log.

server     the tools as such a client sees them
offering   functions as tools, and what is wrong with a call in a sentence
relay      a call left in the log, and its answer
runs       runs as processes: begun, gone on with, and how they stand
processes  whether a process is there
http       over HTTP: who may ask
"""

from __future__ import annotations

from lakatos.agent.server.runs import Allowed
from lakatos.agent.server.server import create_server

__all__ = ["Allowed", "create_server"]
