"""Make the README's pictures from a running demo, in Chromium: `python -m devkit.screenshots`."""

import asyncio
import shutil
import sys
import tempfile
from pathlib import Path

from playwright.async_api import async_playwright, expect

from devkit import demo
from devkit.demo import CLINIC

IMAGES = Path(__file__).resolve().parents[1] / "docs" / "images"
MESSAGES = ("Olá! Quanto custa uma limpeza?", "Quero marcar uma consulta")
CHROMIUM_OPTIONS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync"]
REPLY_TIMEOUT_MS = 20_000


async def take_phone(twilio: str) -> None:
    """Chat with the clinic on the phone page, and save a picture of it."""
    query = f"from=whatsapp:%2B5511990000042&to={CLINIC.address.replace('+', '%2B')}"
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=shutil.which("chromium"), args=CHROMIUM_OPTIONS)
        page = await browser.new_page(locale="pt-BR", viewport={"width": 900, "height": 720})
        await page.goto(f"{twilio}/phone?{query}")
        replies = page.get_by_role("region", name="Mensagens").locator("li.theirs")
        for count, message in enumerate(MESSAGES, 1):
            box = page.get_by_placeholder("Escreva uma mensagem")
            await box.fill(message)
            await box.press("Enter")
            await expect(replies).to_have_count(count, timeout=REPLY_TIMEOUT_MS)
        await page.screenshot(path=IMAGES / "phone.png")
        await browser.close()


def main() -> None:
    """Run the demo in a temporary folder, and take the pictures."""
    if shutil.which("chromium") is None:
        sys.exit("error: no Chromium on this machine: install the package `chromium`")
    IMAGES.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, demo.run(Path(folder), demo.TENANTS, print) as running:
        asyncio.run(take_phone(running.stack.addresses["twilio"]))


if __name__ == "__main__":
    main()
