"""The tools that every tenant may name in its YAML. To add one: write its module, and list it here."""

from tools.base import Tool
from tools.builtin.book_slot import BOOK_SLOT
from tools.builtin.find_slots import FIND_SLOTS
from tools.builtin.remember_fact import REMEMBER_FACT
from tools.builtin.request_human import REQUEST_HUMAN
from tools.builtin.search_knowledge import SEARCH_KNOWLEDGE

BUILTIN: dict[str, Tool] = {
    tool.name: tool for tool in (FIND_SLOTS, BOOK_SLOT, REQUEST_HUMAN, REMEMBER_FACT, SEARCH_KNOWLEDGE)
}
