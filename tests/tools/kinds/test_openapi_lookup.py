"""Operations by operationId, and by method and path."""

import json
from typing import Any

import pytest

from manifest.document_source import read_documents
from tools.kinds.openapi import find_operation
from tools.kinds.openapi_document import OpenApiProblem

CEP = {"parameters": [{"name": "cep", "in": "path", "required": True, "schema": {"type": "string"}}]}
UNNAMED = {"/cep/v1/{cep}": {"get": CEP, "put": CEP}, "/banks": {"get": {}}}


def find(paths: Any, name: str) -> str:
    """Return method and address of the operation that is found."""
    document = {"openapi": "3.0.5", "servers": [{"url": "https://a.example"}], "paths": paths}
    operation = find_operation(read_documents({"cep.json": json.dumps(document)}), "cep.json", name)
    arguments = dict.fromkeys(operation.schema["properties"], "1")
    return f"{operation.method} {operation.request(arguments, {}).url}"


@pytest.mark.parametrize("name", ["GET /cep/v1/{cep}", "get /cep/v1/{cep}", "  GeT   /cep/v1/{cep}  "])
def test_an_operation_has_a_name_without_its_operation_id(name: str) -> None:
    assert find(UNNAMED, name) == "GET https://a.example/cep/v1/1"


def test_an_operation_id_comes_before_a_method_and_path() -> None:
    paths = {"/a": {"get": {"operationId": "GET /b"}}, "/b": {"get": {}}}
    assert find(paths, "GET /b") == "GET https://a.example/a"


@pytest.mark.parametrize(
    ("paths", "name", "message"),
    [
        (UNNAMED, "busca", "no operation of the document has an operationId: write .* `cep.json#GET /cep/v1/{cep}`"),
        ({**UNNAMED, "/x": {"get": {"operationId": "listStates"}}}, "busca", "only 1 of 4 operations of the document"),
        ({"/x": {"get": {"operationId": "listStates"}}}, "listState", "did you mean `listStates`"),
        ({"/x": {"get": {"operationId": "listStates"}}}, "zzz", "there is no operation `zzz`$"),
        (UNNAMED, "GET /cep/v1/{code}", "did you mean `GET /cep/v1/{cep}`"),
        (UNNAMED, "POST /cep/v1/{cep}", "write `GET /cep/v1/{cep}` or `PUT /cep/v1/{cep}`"),
        (UNNAMED, "/cep/v1/{cep}", "write `GET /cep/v1/{cep}` or `PUT"),
        (UNNAMED, "GET:/banks", "write `GET /banks`"),
        (UNNAMED, "HEAD /banks", "tools do not send HEAD, only GET, POST"),
        ({"/a": {"get": {"operationId": "x"}}, "/b": {"get": {"operationId": "x"}}}, "x",
         "is the operationId of `GET /a` and `GET /b`: name one of these instead"),
        ({"/a": {"$ref": "#/gone"}}, "x", "`#/gone` does not exist"),
    ],
)  # fmt: skip
def test_a_name_that_is_not_found_says_how_to_name_the_operation(paths: Any, name: str, message: str) -> None:
    with pytest.raises(OpenApiProblem, match=message.replace("{", r"\{").replace("}", r"\}")):
        find(paths, name)


def test_a_broken_path_does_no_harm_to_the_others() -> None:
    assert find({"/a": {"$ref": "#/gone"}, **UNNAMED}, "GET /banks") == "GET https://a.example/banks"
