"""Read the arguments of tool calls in chat completions, which servers write in several ways.

LangChain's clients refuse a whole answer if the arguments of one of its calls are not the JSON of an object.
"""

import json
from typing import Any

NO_ARGUMENTS = {"", "null", "[]", "None", "undefined"}
"""What models write for a call without arguments."""


def mend_arguments(completion: Any) -> None:
    """Write the arguments of a completion's tool calls as JSON objects, in place, where their meaning is clear.

    Other arguments that are JSON, such as numbers, are marked as what they are not: the call is then an invalid one.
    """
    for choice in getattr(completion, "choices", None) or ():
        for call in getattr(getattr(choice, "message", None), "tool_calls", None) or ():
            function = getattr(call, "function", None)
            if function is not None:
                function.arguments = _mended(getattr(function, "arguments", None))


def _mended(arguments: Any) -> str:
    if isinstance(arguments, dict):
        # Some servers send an object in place of its JSON.
        return json.dumps(arguments)
    text = "" if arguments is None else str(arguments)
    if text.strip() in NO_ARGUMENTS:
        return "{}"
    if text.lstrip().startswith("{"):
        return text
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return text
    if isinstance(value, str):
        # An object that was written as JSON twice.
        return value if value.lstrip().startswith("{") else f"not an object: {text}"
    return f"not an object: {text}"
