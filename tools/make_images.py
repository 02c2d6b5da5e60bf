"""Take the pictures of docs/images/ from a running service: ``tailorbird serve``, then this.

python tools/make_images.py [http://127.0.0.1:8420]
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

FOLDER = Path(__file__).parents[1] / "docs" / "images"
QUESTIONS = ("where on earth is my parcel?", "我的包裹怎么还没到？")


def ask(page: Page, question: str) -> None:
    """Type a question and wait for its answer."""
    page.get_by_role("textbox").first.fill(question)
    page.keyboard.press("Enter")
    page.get_by_text("track_order").first.wait_for()
    page.wait_for_timeout(500)


def main() -> None:
    """Console and report, at the width of a laptop's half screen."""
    address = sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:8420"
    FOLDER.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"]
        )
        page = browser.new_page(viewport={"width": 1100, "height": 900}, locale="en")
        page.goto(f"{address}/console/")
        for question in QUESTIONS:
            ask(page, question)
        page.screenshot(path=FOLDER / "console.png")
        page.goto(f"{address}/console/report")
        page.wait_for_timeout(1500)
        page.screenshot(path=FOLDER / "report.png")
        browser.close()


if __name__ == "__main__":
    main()
