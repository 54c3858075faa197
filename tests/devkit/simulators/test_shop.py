"""The shop simulator as its users meet it: a program of its own, asked over HTTP."""

import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

ROOT = Path(__file__).resolve().parents[3]
TOKEN = "a-token"


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    command = [sys.executable, "-W", "error", "-m", "devkit.simulators.shop", "--port", "0", "--token", TOKEN]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    yield process.stdout.readline().split()[-1]
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=10)
    assert (process.returncode, errors) == (0, "")


class Customer:
    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    async def ask(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        named = {"Authorization": f"Bearer {TOKEN}"} | {name.replace("_", "-"): text for name, text in headers.items()}
        async with self._session.request(method, path, json=body, headers=named) as answer:
            return answer.status, await answer.json()

    async def state(self) -> Any:
        return (await self.ask("GET", "/control/state"))[1]


@pytest.fixture
async def customer(address: str) -> AsyncIterator[Customer]:
    async with aiohttp.ClientSession(address) as session:
        customer = Customer(session)
        await customer.ask("POST", "/control/reset")
        yield customer


async def test_only_who_shows_the_token_is_served(customer: Customer) -> None:
    status, body = await customer.ask("GET", "/v1/orders/1001", Authorization="Bearer another")
    assert (status, body["error"]["code"]) == (401, "unauthorized")
    status, body = await customer.ask("GET", "/v1/orders/1001")
    assert (status, body["order"]["status"]) == (200, "delivered")


async def test_a_key_makes_a_refund_happen_once(customer: Customer) -> None:
    body = {"reason": "pequeno", "amount": 1000}
    first = await customer.ask("POST", "/v1/orders/1001/refunds", body, Idempotency_Key="k")
    again = await customer.ask("POST", "/v1/orders/1001/refunds", body, Idempotency_Key="k")
    assert first == again == (201, {"refund": {"id": "RF1", "order": "1001", "amount": 1000, "reason": "pequeno"}})
    status, other = await customer.ask("POST", "/v1/orders/1001/refunds", {"reason": "outro"}, Idempotency_Key="k")
    assert (status, other["error"]["code"]) == (422, "key_reused")
    state = await customer.state()
    assert len(state["refunds"]) == 1
    path = "/v1/orders/1001/refunds"
    assert state["keys"] == [{"key": "k", "method": "POST", "path": path, "status": 201, "times": 2}]


async def test_a_lost_answer_was_an_answer_all_the_same(customer: Customer) -> None:
    await customer.ask("POST", "/control/faults", {"fault": "drop_after"})
    body = {"sku": "BOL-PAL", "quantity": 2}
    with pytest.raises(aiohttp.ServerDisconnectedError):
        await customer.ask("POST", "/v1/orders", body, Idempotency_Key="lost")
    status, made = await customer.ask("POST", "/v1/orders", body, Idempotency_Key="lost")
    assert (status, made["order"]["total"]) == (201, 37980)
    assert [order["number"] for order in (await customer.state())["orders"]] == ["1001", "1002", "1003", "2001"]


async def test_other_faults_do_nothing(customer: Customer) -> None:
    await customer.ask("POST", "/control/faults", {"fault": "error"})
    assert (await customer.ask("POST", "/v1/orders", {"sku": "BOL-PAL"}))[0] == 503
    await customer.ask("POST", "/control/faults", {"fault": "drop"})
    with pytest.raises(aiohttp.ServerDisconnectedError):
        await customer.ask("POST", "/v1/orders", {"sku": "BOL-PAL"})
    assert len((await customer.state())["orders"]) == 3
    assert (await customer.ask("POST", "/control/faults", {"fault": "fire"}))[0] == 400


@pytest.mark.parametrize(
    ("path", "body", "status", "code"),
    [
        ("/v1/orders/1002/refunds", {"reason": "x"}, 409, "not_refundable"),
        ("/v1/orders/1001/refunds", {"reason": "x", "amount": 28991}, 409, "amount_too_large"),
        ("/v1/orders/1001/refunds", {"reason": "x", "amount": True}, 400, "bad_request"),
        ("/v1/orders/1001/refunds", ["x"], 400, "bad_request"),
        ("/v1/orders/1001/cancellation", {"reason": "x"}, 409, "not_cancellable"),
        ("/v1/orders/1003/cancellation", {}, 400, "bad_request"),
        ("/v1/orders/7/cancellation", {"reason": "x"}, 404, "order_not_found"),
        ("/v1/orders", {"sku": "VES-LIN-G"}, 409, "out_of_stock"),
        ("/v1/orders", {"sku": "VES"}, 404, "product_not_found"),
    ],
)
async def test_what_cannot_be_is_refused(customer: Customer, path: str, body: Any, status: int, code: str) -> None:
    answered, refusal = await customer.ask("POST", path, body)
    assert (answered, refusal["error"]["code"]) == (status, code)


async def test_a_cancelled_order_goes_back_to_the_stock(customer: Customer) -> None:
    assert (await customer.ask("GET", "/v1/products/BOL-PAL"))[1]["stock"] == 7
    status, body = await customer.ask("POST", "/v1/orders/1003/cancellation", {"reason": "x"})
    assert (status, body["order"]["status"]) == (200, "cancelled")
    assert (await customer.ask("GET", "/v1/products/BOL-PAL"))[1]["stock"] == 8


async def test_products_are_found_by_their_words(customer: Customer) -> None:
    _, body = await customer.ask("GET", "/v1/products?q=LINHO%20vestido&limit=1")
    assert [product["sku"] for product in body["products"]] == ["VES-LIN-M"]
    assert (await customer.ask("GET", "/v1/products?limit=none"))[0] == 400
