"""The `lakatos` command in this process, as in a shell: status, standard output, standard error."""

from __future__ import annotations

import io
from contextlib import redirect_stderr, redirect_stdout
from unittest import mock

from lakatos.agent.cli import main


def lakatos_here(*args: object) -> tuple[int, str, str]:
    """What a shell would see of `lakatos ARGS`, without the seconds that a new process takes to import torch."""
    out, err = io.StringIO(), io.StringIO()
    with (
        mock.patch("sys.argv", ["lakatos", *map(str, args)]),
        mock.patch.dict("os.environ", {"COLUMNS": "1000"}),
        redirect_stdout(out),
        redirect_stderr(err),
    ):
        try:
            main()
        except SystemExit as left:
            return int(left.code or 0), out.getvalue(), err.getvalue()
    raise AssertionError("main() ends by SystemExit")
