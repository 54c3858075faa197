"""Remote tools of a small shop, which record their calls."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tools.base import Tool
from tools.kinds.json_schema import arguments_parser
from tools.ports import JSON, ToolContext, ToolFailed
from tools.registry import BUILTIN

QUANTITY = {
    "type": "object",
    "properties": {"quanto": {"type": "integer", "minimum": 1}, "obs": {"type": "string"}},
    "required": ["quanto"],
}
NOTHING: dict[str, Any] = {"type": "object", "properties": {}}


@dataclass
class ShopTools:
    """The tools and their calls. `answers` replace the usual results; an exception is raised."""

    orders: list[Mapping[str, Any]] = field(default_factory=list)
    asked: int = 0
    answers: list[JSON | Exception] = field(default_factory=list)

    async def order(self, _: ToolContext, arguments: Any) -> JSON:
        """Record an order, and return its number."""
        self.orders.append(arguments)
        return self._answer({"numero": len(self.orders), "pago": False, "itens": [{"nome": "escova"}]})

    async def price(self, _: ToolContext, __: Any) -> JSON:
        """Count the question, and return the price."""
        self.asked += 1
        return self._answer({"preco": 10})

    def tools(self, *, approval: bool = False) -> dict[str, Tool]:
        """Return the built-in tools, with `pedir`, which has side effects, and `preco`, which reads."""
        order = Tool("pedir", "pede", QUANTITY, "write", self.order, arguments_parser(QUANTITY), remote=True)
        price = Tool("preco", "preço", NOTHING, "read", self.price, arguments_parser(NOTHING), remote=True)
        if approval:
            order = Tool(**{**vars(order), "approval": True})
        return {**BUILTIN, "pedir": order, "preco": price}

    def _answer(self, usual: JSON) -> JSON:
        given = self.answers.pop(0) if self.answers else usual
        if isinstance(given, Exception):
            raise given
        return given


def broken(message: str = "não atende") -> ToolFailed:
    """Return the error of a shop that does not answer."""
    return ToolFailed("broken", model_message=message)
