"""Take the pictures of docs/images/ from a running service: ``tailorbird serve``, then this.

python tools/make_images.py [http://127.0.0.1:8420]
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import httpx
from playwright.sync_api import Page, sync_playwright

FOLDER = Path(__file__).parents[1] / "docs" / "images"
QUESTIONS = ("where on earth is my parcel?", "我的包裹怎么还没到？")
VISITOR = ("My kettle arrived broken", "How long does a refund take?", "I want to talk to a person")


def ask(page: Page, question: str) -> None:
    """Type a question and wait for its answer."""
    page.get_by_role("textbox").first.fill(question)
    page.keyboard.press("Enter")
    page.get_by_text("track_order").first.wait_for()
    page.wait_for_timeout(500)


def hand_over(address: str) -> None:
    """Talk as a visitor until a person is asked for."""
    with httpx.Client(base_url=address, timeout=60) as client:
        conversation = client.post("/v1/conversations", json={"user": "Ada"}).json()["id"]
        for text in VISITOR:
            client.post(f"/v1/conversations/{conversation}/turns", json={"text": text})


def main() -> None:
    """Console, agent desk and report, at the width of a laptop's half screen."""
    address = sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:8420"
    FOLDER.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"]
        )
        page = browser.new_page(viewport={"width": 1100, "height": 900}, locale="en")
        page.goto(f"{address}/console/try")
        for question in QUESTIONS:
            ask(page, question)
        page.screenshot(path=FOLDER / "console.png")
        page.goto(f"{address}/console/desk")
        page.wait_for_timeout(1000)
        hand_over(address)
        page.get_by_text("Ada").first.click()
        page.get_by_role("button", name="Take").click()
        page.wait_for_timeout(1000)
        page.screenshot(path=FOLDER / "desk.png")
        page.goto(f"{address}/console/report")
        page.wait_for_timeout(1500)
        page.screenshot(path=FOLDER / "report.png")
        browser.close()


if __name__ == "__main__":
    main()
