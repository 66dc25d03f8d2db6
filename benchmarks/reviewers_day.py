"""A reviewer's day on the review site, in a real browser: find, filter, open, score blind, accept, retract, export.

    python benchmarks/reviewers_day.py lakatos.db --out docs

works on a copy of the database and writes a screenshot of every step; what it finds wrong, it raises. Chromium is taken
from the PATH (Debian: apt-get install chromium).
"""

from __future__ import annotations

import argparse
import contextlib
import shutil
import sqlite3
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import uvicorn
from playwright.sync_api import Browser, Page, expect, sync_playwright

from lakatos.experiments_db import Store, open_store
from lakatos.experiments_db.site import create_app

WIDTH, HEIGHT = 1400, 900


@contextlib.contextmanager
def served(store: Store) -> Iterator[str]:
    """The site over a store on a free port of this machine: its address."""
    server = uvicorn.Server(uvicorn.Config(create_app(store), port=0, log_level="error"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.02)
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()


@contextlib.contextmanager
def chromium() -> Iterator[Browser]:
    """Debian's Chromium. LookupError: there is none."""
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        raise LookupError("no Chromium on the PATH: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield browser
        browser.close()


class Day:
    """One reviewer at one page; complaints of the browser are collected, and there must be none."""

    def __init__(self, page: Page, address: str, out: Path | None = None) -> None:
        self.page = page
        self.address = address
        self.out = out
        self.complaints: list[str] = []
        page.on("console", lambda m: self.complaints.append(m.text) if m.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", lambda r: None if r.url.startswith((address, "blob:")) else self.complaints.append(r.url))

    def go(self, path: str) -> None:
        """Open an address of the site."""
        answer = self.page.goto(self.address + path)
        assert answer is not None
        assert answer.ok, (path, answer.status)

    def look(self, name: str, whole: bool = False) -> None:
        """Take a screenshot, and see that nothing sticks out of the page."""
        wide = self.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert wide <= 0, f"{name}: {wide} pixels stick out"
        if self.out is not None:
            self.page.screenshot(path=self.out / f"review-{name}.png", full_page=whole)

    def sign(self, name: str, *, blind: bool = False, theme: str = "") -> None:
        """Say who reads, and how."""
        self.page.locator("header details summary").click()
        self.page.fill("#pref-name", name)
        self.page.locator(".popover input[name=blind]").set_checked(blind)
        self.page.select_option("#pref-theme", theme)
        self.page.click(".popover button")
        expect(self.page.locator("header details summary")).to_contain_text(name)

    def decide(self, decision: str, reason: str) -> None:
        """Write a reason and decide."""
        self.page.fill("#reason", reason)
        self.page.click(f"button[value={decision}]")

    def works(self, other_side: str) -> None:
        """The whole day. `other_side`: what run 1 is compared with, as run:N or model:NAME."""
        self.find()
        self.filter()
        opened = self.open_by_keys()
        self.score_blind()
        self.accept()
        self.retract()
        self.compare(other_side)
        self.export(opened)
        self.look_around(opened)
        assert not [c for c in self.complaints if "422" not in c], self.complaints  # one form was refused on purpose

    def find(self) -> None:
        """From the overview to what a word finds."""
        page = self.page
        self.go("/")
        expect(page.locator("#denominators")).to_contain_text("confirmed")
        self.look("overview")
        page.keyboard.press("/")
        page.keyboard.type("necessary")
        page.keyboard.press("Enter")
        page.wait_for_url("**/hypotheses?q=necessary")
        expect(page.locator("tbody th.claim").first).to_contain_text("necessary")

    def filter(self) -> None:
        """By verdict, by correction, and by a component on the map."""
        page = self.page
        self.go("/hypotheses")
        with page.expect_navigation():
            page.select_option("#f-state", "confirmed")
        rows = page.locator("table[data-rows] tbody tr")
        confirmed = rows.count()
        assert confirmed == page.locator("tbody .verdict.v-confirmed").count() > 0
        with page.expect_navigation():
            page.select_option("#f-correction", "bh")
        expect(page.locator("#correction")).to_contain_text("a view, not a verdict")
        self.look("hypotheses")
        page.locator("summary", has_text="Map of components").click()
        self.look("map")
        first = page.locator("svg.heat-map a.cell").first
        name = (first.get_attribute("aria-label") or "").partition(":")[0]
        with page.expect_navigation():
            first.click()
        expect(page.locator("#f-component")).to_have_value(name)
        assert 0 < rows.count() <= confirmed

    def open_by_keys(self) -> str:
        """Open the first confirmed claim without a mouse: its number."""
        page = self.page
        self.go("/hypotheses?state=confirmed")
        page.keyboard.press("j")
        with page.expect_navigation():
            page.keyboard.press("Enter")
        return page.url.rpartition("/")[2]

    def score_blind(self) -> None:
        """Score before the rationale is shown."""
        page = self.page
        self.sign("Ada", blind=True)
        rationale = page.locator("section[aria-label=Rationale]")
        expect(rationale).to_contain_text("Hidden until you have scored")
        self.look("blind")
        page.check("input[name=score][value='4']")
        page.click("button[value=score]")
        expect(page.locator("#history")).to_contain_text("score 4, credible")
        expect(page.locator("#history")).to_contain_text("blind")
        expect(rationale).not_to_contain_text("Hidden")

    def accept(self) -> None:
        """Accept, with a reason."""
        page = self.page
        self.decide("accept", "Holds on every template; the controls are far away.")
        expect(page.locator(".claim-head .standing")).to_have_text("accepted")
        self.sign("Ada")
        self.look("hypothesis")

    def retract(self) -> None:
        """As another reviewer, who is refused without a reason, and then retracts."""
        page = self.page
        page.fill("#author", "Grace")
        page.click("button[value=retract]")
        expect(page.locator(".banner.bad")).to_contain_text("Say why")
        self.decide("retract", "The tokenizer of the run was misconfigured.")
        expect(page.locator(".claim-head .standing")).to_have_text("retracted")
        expect(page.locator(".claim-head .verdict")).to_contain_text("confirmed")
        self.go("/reviews")
        expect(page.locator("#agreement table")).to_contain_text("Ada and Grace")
        self.look("reviews")

    def compare(self, other_side: str) -> None:
        """Hold run 1 against another run or model."""
        page = self.page
        self.go("/compare")
        page.fill("#c-a", "run:1")
        page.fill("#c-b", other_side)
        page.click("main form button.primary")
        expect(page.locator("#found")).to_contain_text("pairs")
        self.look("compare")

    def export(self, opened: str) -> None:
        """Download the log, which has the retraction."""
        page = self.page
        self.go("/")
        with page.expect_download() as download:
            page.click("a[href='/export/log.csv']")
        lines = Path(download.value.path()).read_text("utf-8").splitlines()
        review = lines[0].split(",").index("review")
        assert any(line.split(",")[0] == opened and "retracted" in line for line in lines), (opened, review)

    def look_around(self, opened: str) -> None:
        """A run; a claim in the dark; and every kind of page on a phone."""
        page = self.page
        self.go("/runs/1")
        self.look("run")
        self.sign("Grace", theme="dark")
        self.go(f"/hypotheses/{opened}")
        self.look("dark")
        page.set_viewport_size({"width": 390, "height": 844})
        for path in ("/", "/hypotheses", f"/hypotheses/{opened}", "/runs/1"):
            self.go(path)
            self.look(f"phone{path.replace('/', '-').rstrip('-')}")


def main() -> None:
    """Spend the day on a copy of a database."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("db", type=Path)
    parser.add_argument("--out", type=Path, help="folder for the screenshots")
    parser.add_argument("--against", default="run:2", help="what run 1 is compared with: run:N or model:NAME")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / asked.db.name
        with sqlite3.connect(asked.db) as source, sqlite3.connect(copy) as target:
            source.backup(target)
        store = open_store(str(copy), create=False)
        with served(store) as address, chromium() as browser:
            page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT}, color_scheme="light")
            Day(page, address, asked.out).works(asked.against)
        assert store.verify() == []
    print("a reviewer's day: done")


if __name__ == "__main__":
    main()
