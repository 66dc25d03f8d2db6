"""The kinds of error.

UserError       the user's: says what is wrong and how to mend it; shown without a traceback
CheckFailed     one of these that nothing in the command mends: exit status 1 instead of 2
ProposalError   the proposer's: its text goes back to the proposer, and into the log
Stop            a limit was reached or the user asked: nothing is lost, the run can be resumed
"""

from __future__ import annotations


class UserError(Exception):
    """Something the user can mend. The message says what is wrong and what to do about it."""


class NotThere(UserError):
    """What was asked for by its number, name or hash is not in the log."""


class CheckFailed(UserError):
    """What was asked for was done, and did not come out: a language model that never gave a usable answer."""


class ProposalError(Exception):
    """A proposal that cannot be registered: malformed, a duplicate, or about a component that is not there."""


class Stop(Exception):
    """A limit was reached, or the user interrupted. Everything measured so far is in the log."""
