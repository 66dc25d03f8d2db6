"""What a run tells while it goes: a protocol, silence, and a rich progress display on standard error."""

from __future__ import annotations

import time
from typing import Any, Protocol

from rich.console import Console
from rich.live import Live
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn


class Watcher(Protocol):
    """Is told what happens. None of it is evidence."""

    def say(self, text: str) -> None:
        """Something that happened, in a line."""
        ...

    def phase(self, name: str, done: int, of: int) -> None:
        """How far a phase has come."""
        ...

    def testing(self, text: str, pairs: int, n_max: int, e: float, forwards: float) -> None:
        """The test under way: pairs so far, e-value, forward passes of the run."""
        ...

    def spent(self, tokens: int, money: float | None) -> None:
        """What the run's language model has cost so far; no money where the run was told no price."""
        ...

    def asked(self, question: str) -> str:
        """A line that a person types."""
        ...

    def close(self) -> None:
        """The run has ended or stopped."""
        ...


class Silent:
    """Tells nobody."""

    def say(self, text: str) -> None:
        """See `Watcher`."""

    def phase(self, name: str, done: int, of: int) -> None:
        """See `Watcher`."""

    def testing(self, text: str, pairs: int, n_max: int, e: float, forwards: float) -> None:
        """See `Watcher`."""

    def spent(self, tokens: int, money: float | None) -> None:
        """See `Watcher`."""

    def asked(self, question: str) -> str:
        """See `Watcher`."""
        return input(question)

    def close(self) -> None:
        """See `Watcher`."""


def showable(text: str) -> str:
    """A stranger's text for a terminal: control characters, which could paint over a verdict, are shown as codes."""
    return "".join(c if c.isprintable() or c == "\n" else f"<U+{ord(c):04X}>" for c in text)


def tokens_and_money(tokens: int, money: float | None) -> str:
    """What a language model has cost, in words."""
    return f"{tokens:,} tokens" + (f", {money:,.4g} in money" if money is not None else "")


class RichWatcher:
    """A line per event, and under them a bar for the phase and a bar for the test, with the time left."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TextColumn("{task.completed:.0f}/{task.total:.0f}"),
            TextColumn("{task.fields[note]}"),
            TimeElapsedColumn(),
            console=console,
        )
        self.live = Live(self.bars, console=console, refresh_per_second=4, transient=True)
        self.live.start()
        self._tasks: dict[str, Any] = {}
        self._began: dict[str, float] = {}
        self._spent = ""

    def say(self, text: str) -> None:
        """See `Watcher`."""
        self.console.print(showable(text), markup=False, highlight=False)

    def phase(self, name: str, done: int, of: int) -> None:
        """See `Watcher`."""
        self._show("phase", name, done, of, "  ".join(filter(None, (self._left(name, done, of), self._spent))))

    def testing(self, text: str, pairs: int, n_max: int, e: float, forwards: float) -> None:
        """See `Watcher`."""
        self._show("test", text, pairs, n_max, f"e={e:.3g}  {forwards:,.0f} forwards")

    def spent(self, tokens: int, money: float | None) -> None:
        """See `Watcher`."""
        self._spent = tokens_and_money(tokens, money)

    def asked(self, question: str) -> str:
        """See `Watcher`."""
        self.live.stop()
        try:
            return self.console.input(question)
        finally:
            self.live.start()

    def close(self) -> None:
        """See `Watcher`."""
        self.live.stop()

    def _show(self, key: str, text: str, done: int, of: int, note: str) -> None:
        from rich.markup import escape

        text = showable(text)
        shown = escape(text if len(text) <= 60 else text[:57] + "...")
        if key not in self._tasks:
            self._tasks[key] = self.bars.add_task(shown, total=of, note=note)
        self.bars.update(self._tasks[key], description=shown, completed=done, total=of, note=note)

    def _left(self, name: str, done: int, of: int) -> str:
        began = self._began.setdefault(name, time.monotonic())
        if not 0 < done < of:
            return ""
        return f"{(time.monotonic() - began) * (of - done) / done:.0f} s left"
