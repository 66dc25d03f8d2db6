"""The `lakatos` command. Heavy imports happen inside commands: `lakatos --help` and `lakatos log` load no torch.

Exit status: 0 done, 1 a check failed or a language model gave no usable answer, 2 wrong usage or something the user can
mend, 3 stopped and resumable, 130 killed by a second Ctrl-C.
"""

from __future__ import annotations

import sys

import typer

from lakatos.agent.cli import behaviours as cli_behaviours
from lakatos.agent.cli import bench as cli_bench
from lakatos.agent.cli import bench_circuits as cli_bench_circuits
from lakatos.agent.cli import extend as cli_extend
from lakatos.agent.cli import log as cli_log
from lakatos.agent.cli import mcp as cli_mcp
from lakatos.agent.cli import mechanism as cli_mechanism
from lakatos.agent.cli import regression as cli_regression
from lakatos.agent.cli import review as cli_review
from lakatos.agent.cli import run as cli_run
from lakatos.agent.cli import study as cli_study
from lakatos.agent.cli import transcript as cli_transcript
from lakatos.agent.cli import verify as cli_verify
from lakatos.agent.cli.options import err, out
from lakatos.tools.errors import CheckFailed, Stop, UserError

app = typer.Typer(
    help="Pre-registered, error-controlled hypothesis testing for mechanistic interpretability.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
about = typer.Typer()
app.add_typer(cli_run.app)
app.add_typer(cli_extend.app)
app.add_typer(cli_log.app)
app.add_typer(cli_mechanism.app)
app.add_typer(cli_mcp.app)
app.add_typer(cli_behaviours.app, name="behaviours")
cli_bench.app.add_typer(cli_bench_circuits.app)
app.add_typer(cli_bench.app, name="bench")
app.add_typer(cli_study.app, name="study")
app.add_typer(cli_review.app)
app.add_typer(cli_regression.app)
app.add_typer(cli_transcript.app)
app.add_typer(cli_verify.app)
app.add_typer(about)


def main() -> None:
    """Entry point: errors that the user can mend are shown without a traceback."""
    try:
        status = app(standalone_mode=False)
    except UserError as error:
        err().print(f"lakatos: {error}", markup=False, highlight=False)
        status = 1 if isinstance(error, CheckFailed) else 2
    except Stop as stop:
        err().print(f"lakatos: stopped: {stop}.", markup=False, highlight=False)
        status = 3
    except (typer.Abort, KeyboardInterrupt):
        status = 130
    except Exception as error:  # usage errors: typer vendors click, so their class has no public name
        if not hasattr(error, "format_message"):
            raise
        err().print(f"lakatos: {error.format_message()}  (--help explains)", markup=False, highlight=False)
        status = getattr(error, "exit_code", 2)
    sys.exit(status if isinstance(status, int) else 0)


@about.command()
def version() -> int:
    """Print the versions of lakatos and of what decides its numbers."""
    from lakatos.tools.environment import packages

    for name, found in packages().items():
        out().print(f"{name} {found}", highlight=False)
    return 0
