"""The phone page, in a real browser: what a newcomer does first."""

import os
import shutil

import pytest
from playwright.async_api import async_playwright, expect

from tests.platform import CONTACT, NUMBER, Platform

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
OPTIONS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


# In CI a missing browser is a failure: the launch says so.
@pytest.mark.skipif(
    CHROMIUM is None and not os.environ.get("CI"), reason="no Chromium on this machine: install it to run this test"
)
async def test_a_chat_on_the_phone_page(platform: Platform) -> None:
    address = {"from": CONTACT, "to": NUMBER}
    query = "&".join(f"{name}={value.replace('+', '%2B')}" for name, value in address.items())
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM or "chromium", args=OPTIONS)
        page = await browser.new_page(locale="pt-BR")
        await page.goto(f"{platform.servers.twilio}/phone?{query}")
        box = page.get_by_placeholder("Escreva uma mensagem")
        await box.fill("oi <script>você</script>")
        await box.press("Enter")
        messages = page.get_by_role("region", name="Mensagens")
        await expect(messages.get_by_text("eco: oi <script>você</script>")).to_be_visible(timeout=20_000)

        async def read() -> bool:
            return bool(await platform.rows("select 1 from outbox where status = 'read'"))

        await platform.until(read, "the reply that was seen to be marked as read")
        await browser.close()
