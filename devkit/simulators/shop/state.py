"""What the shop has and what became of it. In memory; amounts are in cents."""

import itertools
from collections import Counter
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

type Document = dict[str, Any]

PRODUCTS: list[Document] = [
    {"sku": "VES-LIN-M", "name": "Vestido de linho, tamanho M", "price": 28990, "stock": 4},
    {"sku": "VES-LIN-G", "name": "Vestido de linho, tamanho G", "price": 28990, "stock": 0},
    {"sku": "CAM-ALG-M", "name": "Camisa de algodão, tamanho M", "price": 15990, "stock": 12},
    {"sku": "SAN-COU-38", "name": "Sandália de couro, número 38", "price": 21990, "stock": 2},
    {"sku": "BOL-PAL", "name": "Bolsa de palha", "price": 18990, "stock": 7},
]


def _orders() -> list[Document]:
    today = datetime.now(UTC).date()
    delivered, promised = (today - timedelta(days=3)).isoformat(), (today + timedelta(days=2)).isoformat()
    return [
        _order("1001", "delivered", [("VES-LIN-M", 1)], 28990, delivered=delivered),
        _order("1002", "shipped", [("SAN-COU-38", 1)], 21990, tracking="AU123456789BR", expected=promised),
        _order("1003", "preparing", [("CAM-ALG-M", 2), ("BOL-PAL", 1)], 50970, expected=promised),
    ]


def _order(number: str, status: str, items: list[tuple[str, int]], total: int, **more: str) -> Document:
    lines = [{"sku": sku, "quantity": quantity} for sku, quantity in items]
    return {"number": number, "status": status, "items": lines, "total": total, "refunded": 0, **more}


class Refused(Exception):
    """The shop says no."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code

    def body(self) -> Document:
        return {"error": {"code": self.code, "message": str(self)}}


@dataclass
class Keyed:
    """An Idempotency-Key: the request that came with it first, what was answered, and how often it came."""

    key: str
    request: tuple[str, str, str]
    status: int
    body: Document
    times: int = 1

    def as_json(self) -> Document:
        method, path, _ = self.request
        return {"key": self.key, "method": method, "path": path, "status": self.status, "times": self.times}


@dataclass
class Shop:
    """Everything the simulator knows."""

    products: dict[str, Document] = field(default_factory=lambda: {p["sku"]: deepcopy(p) for p in PRODUCTS})
    orders: dict[str, Document] = field(default_factory=lambda: {order["number"]: order for order in _orders()})
    refunds: list[Document] = field(default_factory=list)
    keys: dict[str, Keyed] = field(default_factory=dict)
    requests: Counter[str] = field(default_factory=Counter)
    _numbers: "itertools.count[int]" = field(default_factory=lambda: itertools.count(1))

    def search(self, words: str, limit: int) -> list[Document]:
        """Products whose name has all the words."""
        wanted = words.casefold().split()
        found = (product for product in self.products.values() if all(w in product["name"].casefold() for w in wanted))
        return list(itertools.islice(found, limit))

    def product(self, sku: str) -> Document:
        """One product. Raises Refused."""
        if sku not in self.products:
            raise Refused(404, "product_not_found", f"there is no product {sku}")
        return self.products[sku]

    def order(self, number: str) -> Document:
        """One order. Raises Refused."""
        if number not in self.orders:
            raise Refused(404, "order_not_found", f"there is no order {number}")
        return self.orders[number]

    def reserve(self, sku: str, quantity: int) -> Document:
        """Takes products from the stock and makes an order that waits for its payment. Raises Refused."""
        product = self.product(sku)
        if product["stock"] < quantity:
            raise Refused(409, "out_of_stock", f"only {product['stock']} of {sku} are left")
        product["stock"] -= quantity
        number = str(2000 + next(self._numbers))
        order = _order(number, "awaiting_payment", [(sku, quantity)], quantity * product["price"])
        self.orders[number] = order
        return order

    def cancel(self, number: str) -> Document:
        """Cancels an order that has not been sent, and gives the money back. Raises Refused."""
        order = self.order(number)
        if order["status"] not in ("awaiting_payment", "preparing"):
            raise Refused(409, "not_cancellable", f"order {number} is {order['status']}")
        order["status"] = "cancelled"
        for line in order["items"]:
            self.products[line["sku"]]["stock"] += line["quantity"]
        return order

    def refund(self, number: str, amount: int | None, reason: str) -> Document:
        """Gives money back; without an amount, all that is left. Raises Refused."""
        order = self.order(number)
        left = order["total"] - order["refunded"]
        if order["status"] != "delivered":
            raise Refused(409, "not_refundable", f"order {number} is {order['status']}")
        if left == 0 or (amount or left) > left:
            raise Refused(409, "amount_too_large", f"{left} cents of order {number} can be refunded")
        order["refunded"] += amount or left
        refund = {"id": f"RF{next(self._numbers)}", "order": number, "amount": amount or left, "reason": reason}
        self.refunds.append(refund)
        return refund

    def as_json(self) -> Document:
        return {
            "products": list(self.products.values()),
            "orders": list(self.orders.values()),
            "refunds": self.refunds,
            "keys": [keyed.as_json() for keyed in self.keys.values()],
            "requests": dict(self.requests),
        }
