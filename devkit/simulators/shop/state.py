"""Keep the shop's products, orders and refunds in memory. Amounts are in cents."""

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


class ShopRefused(Exception):
    """The shop refuses a request. `code` is the error code in the body of its answer."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code

    def body(self) -> Document:
        """Return the body of the answer."""
        return {"error": {"code": self.code, "message": str(self)}}


@dataclass
class IdempotentAnswer:
    """The first request with an Idempotency-Key, its answer, and how often the key was received."""

    key: str
    request: tuple[str, str, str]
    status: int
    body: Document
    times: int = 1

    def as_json(self) -> Document:
        """Return the key, for the control endpoint."""
        method, path, _ = self.request
        return {"key": self.key, "method": method, "path": path, "status": self.status, "times": self.times}


@dataclass
class ShopState:
    """The state of the shop, and how often each path was requested."""

    products: dict[str, Document] = field(default_factory=lambda: {p["sku"]: deepcopy(p) for p in PRODUCTS})
    orders: dict[str, Document] = field(default_factory=lambda: {order["number"]: order for order in _orders()})
    refunds: list[Document] = field(default_factory=list)
    keys: dict[str, IdempotentAnswer] = field(default_factory=dict)
    requests: Counter[str] = field(default_factory=Counter)
    _numbers: "itertools.count[int]" = field(default_factory=lambda: itertools.count(1))

    def search(self, words: str, limit: int) -> list[Document]:
        """Return the products whose name contains all the words."""
        wanted = words.casefold().split()
        found = (product for product in self.products.values() if all(w in product["name"].casefold() for w in wanted))
        return list(itertools.islice(found, limit))

    def product(self, sku: str) -> Document:
        """Return a product. Raises ShopRefused."""
        if sku not in self.products:
            raise ShopRefused(404, "product_not_found", f"there is no product {sku}")
        return self.products[sku]

    def order(self, number: str) -> Document:
        """Return an order. Raises ShopRefused."""
        if number not in self.orders:
            raise ShopRefused(404, "order_not_found", f"there is no order {number}")
        return self.orders[number]

    def reserve(self, sku: str, quantity: int) -> Document:
        """Take products from the stock, and return an order that waits for its payment. Raises ShopRefused."""
        product = self.product(sku)
        if product["stock"] < quantity:
            raise ShopRefused(409, "out_of_stock", f"only {product['stock']} of {sku} are left")
        product["stock"] -= quantity
        number = str(2000 + next(self._numbers))
        order = _order(number, "awaiting_payment", [(sku, quantity)], quantity * product["price"])
        self.orders[number] = order
        return order

    def cancel(self, number: str) -> Document:
        """Cancel an order that was not shipped, and put its products back in stock. Raises ShopRefused."""
        order = self.order(number)
        if order["status"] not in ("awaiting_payment", "preparing"):
            raise ShopRefused(409, "not_cancellable", f"order {number} is {order['status']}")
        order["status"] = "cancelled"
        for line in order["items"]:
            self.products[line["sku"]]["stock"] += line["quantity"]
        return order

    def refund(self, number: str, amount: int | None, reason: str) -> Document:
        """Refund an amount, or all that is not refunded yet. Raises ShopRefused."""
        order = self.order(number)
        left = order["total"] - order["refunded"]
        if order["status"] != "delivered":
            raise ShopRefused(409, "not_refundable", f"order {number} is {order['status']}")
        if left == 0 or (amount or left) > left:
            raise ShopRefused(409, "amount_too_large", f"{left} cents of order {number} can be refunded")
        order["refunded"] += amount or left
        refund = {"id": f"RF{next(self._numbers)}", "order": number, "amount": amount or left, "reason": reason}
        self.refunds.append(refund)
        return refund

    def as_json(self) -> Document:
        """Return everything, for the control endpoint."""
        return {
            "products": list(self.products.values()),
            "orders": list(self.orders.values()),
            "refunds": self.refunds,
            "keys": [answer.as_json() for answer in self.keys.values()],
            "requests": dict(self.requests),
        }
