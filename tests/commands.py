"""The `lakatos` command in this process, as in a shell: status, standard output, standard error."""

from __future__ import annotations

import io
import os
import signal
import sys
import time
import traceback
from collections.abc import Mapping
from contextlib import redirect_stderr, redirect_stdout
from typing import NoReturn
from unittest import mock

from lakatos.agent.cli import main

WIDE = {"COLUMNS": "1000"}  # no line of a message is broken


def lakatos_here(*args: object, env: Mapping[str, str] = WIDE) -> tuple[int, str, str]:
    """What a shell would see of `lakatos ARGS`, without the seconds that a new process takes to import torch."""
    out, err = io.StringIO(), io.StringIO()
    with (
        mock.patch("sys.argv", ["lakatos", *map(str, args)]),
        mock.patch.dict("os.environ", env),
        redirect_stdout(out),
        redirect_stderr(err),
    ):
        try:
            main()
        except SystemExit as left:
            return int(left.code or 0), out.getvalue(), err.getvalue()
    raise AssertionError("main() ends by SystemExit")


class Forked:
    """The command in a process that is forked from this one, with torch imported already; used like a `Popen`."""

    def __init__(self, *args: object) -> None:
        read, write = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            self._run(args, write)
        os.close(write)
        self.stderr = os.fdopen(read, encoding="utf-8")
        self.returncode: int | None = None

    def _run(self, args: tuple[object, ...], write: int) -> NoReturn:
        status = 1
        try:
            sys.settrace(None)
            signal.signal(signal.SIGINT, signal.default_int_handler)
            sys.stdout, sys.stderr = io.StringIO(), os.fdopen(write, "w", buffering=1, encoding="utf-8")
            sys.argv = ["lakatos", *map(str, args)]
            os.environ.update(WIDE)
            try:
                main()
            except SystemExit as left:
                status = int(left.code or 0)
            sys.stderr.flush()
        except BaseException:  # noqa: BLE001 - it is told, and never gets into the tests
            traceback.print_exc()
        finally:
            os._exit(status)

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def poll(self) -> int | None:
        if self.returncode is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode

    def wait(self, timeout: float) -> int:
        ends = time.monotonic() + timeout
        while (status := self.poll()) is None:
            assert time.monotonic() < ends, f"it goes on after {timeout} seconds"
            time.sleep(0.005)
        return status

    def communicate(self, timeout: float = 60) -> tuple[str, str]:
        """What it still said, after its end: nothing of standard output, and standard error."""
        if self.stderr.closed:
            return "", ""
        with self.stderr:
            said = self.stderr.read()
        self.wait(timeout)
        return "", said
