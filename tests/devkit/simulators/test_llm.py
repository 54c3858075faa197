"""The model simulator as its users meet it: a process of its own, asked by the real clients."""

import asyncio
import gc
import json
import math
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from functools import reduce
from operator import add
from pathlib import Path
from typing import Any, get_args

import aiohttp
import groq
import httpx
import langchain_core.exceptions as core
import openai
import pytest
import pytest_asyncio
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_google_genai import ChatGoogleGenerativeAI
from langchain_groq import ChatGroq
from langchain_openai import ChatOpenAI, OpenAIEmbeddings
from pydantic import BaseModel, SecretStr

from graphs.providers import PROVIDERS, Dialect

pytestmark = [
    # google-genai inherits from aiohttp's session, and forgets to await the body of an error.
    pytest.mark.filterwarnings("ignore:Inheritance class AiohttpClientSession:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:coroutine 'ClientResponse.json' was never awaited:RuntimeWarning"),
]
in_loop = pytest.mark.asyncio(loop_scope="module")
each_provider = pytest.mark.parametrize("provider", PROVIDERS)

ROOT = Path(__file__).resolve().parents[3]
EXAMPLE = ROOT / "devkit/simulators/llm/example.yaml"
KEY = {"Authorization": "Bearer any", "x-goog-api-key": "any"}
OPENAI, GROQ, GEMINI = "/v1/chat/completions", "/openai/v1/chat/completions", "/v1beta/models/g:generateContent"
SYSTEM, VIP = SystemMessage("Você atende a Clínica Sorriso."), SystemMessage("Clínica Sorriso. VIP.")


class Route(BaseModel):
    to: str
    reason: str
    messages: int


def tool(name: str, **parameters: str) -> dict[str, object]:
    properties = {key: {"type": kind} for key, kind in parameters.items()}
    schema = {"type": "object", "properties": properties, "required": [*properties]}
    return {"type": "function", "function": {"name": name, "description": name, "parameters": schema}}


TOOLS = [tool("find_slots", day="string"), tool("price_of", what="string"), tool("book_slot", id="integer")]


@contextmanager
def running(*arguments: str) -> Iterator[str]:
    """A simulator process; told to stop it must do so at once, without a word."""
    command = [sys.executable, "-W", "error", "-m", "devkit.simulators.llm", "--port", "0", *arguments]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith("model simulator ready on http://127.0.0.1:"), process.communicate()
        yield line.split()[4]
    finally:
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=10)
    assert (process.returncode, errors) == (0, "")


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with running("--script", str(EXAMPLE)) as address:
        yield address


@pytest.fixture
def url(server: str) -> str:
    """The simulator, with what the tests before did forgotten."""
    post(server, "/control/reset")
    return server


class ModelClients:
    """The real clients, one of each kind: they are bound to the loop and costly to build."""

    def __init__(self, base: str) -> None:
        self._base = base
        self._built: dict[tuple[str, float], BaseChatModel] = {}
        self._groq = httpx.AsyncClient()

    def of(self, provider: str, seconds: float = 10) -> BaseChatModel:
        if (provider, seconds) not in self._built:
            # For Gemini's client this is the number of tries.
            retries = 1 if PROVIDERS[provider].dialect == "gemini" else 0
            more = {"timeout": seconds, "api_key": "any", "max_retries": retries}
            self._built[provider, seconds] = self._build(provider, more)
        return self._built[provider, seconds]

    def _build(self, provider: str, more: dict[str, Any]) -> BaseChatModel:
        row = PROVIDERS[provider]
        base_url = f"{self._base}{row.simulator_path()}"
        if row.dialect == "openai":
            return ChatOpenAI(model=row.demo_model, base_url=base_url, stream_usage=True, **more)
        if row.dialect == "groq":
            return ChatGroq(model=row.demo_model, base_url=base_url, http_async_client=self._groq, **more)
        return ChatGoogleGenerativeAI(model=row.demo_model, base_url=base_url, **more)

    async def ask(self, provider: str, text: str, seconds: float = 10) -> AIMessage:
        return await self.of(provider, seconds).ainvoke([SYSTEM, HumanMessage(text)])

    async def close(self) -> None:
        for model in self._built.values():
            if isinstance(model, ChatOpenAI):
                await model.root_async_client.close()
            else:
                await (model.aclose() if isinstance(model, ChatGoogleGenerativeAI) else self._groq.aclose())
        # What failed calls left behind is collected while the filters above hold.
        gc.collect()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def models(server: str) -> AsyncIterator[ModelClients]:
    built = ModelClients(server)
    yield built
    await built.close()


def post(url: str, path: str, document: object = None, headers: dict[str, str] = KEY) -> httpx.Response:
    return httpx.post(f"{url}{path}", json=document, headers=headers, timeout=60)


def control(url: str, path: str) -> Any:
    return httpx.get(f"{url}/control/{path}").raise_for_status().json()


def plan(url: str, **faults: object) -> None:
    post(url, "/control/faults", faults).raise_for_status()


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < deadline


@in_loop
@each_provider
@pytest.mark.usefixtures("url")
class TestAnswers:
    async def test_plain(self, models: ModelClients, provider: str) -> None:
        answer = await models.ask(provider, "bom dia")
        assert answer.text == f"eco: bom dia ({provider})"
        usage = answer.usage_metadata or {"input_tokens": 0, "output_tokens": 0}
        assert (usage["input_tokens"] > 8, usage["output_tokens"]) == (True, math.ceil(len(answer.text) / 4))
        assert answer.response_metadata["finish_reason"].lower() == "stop"
        assert answer.response_metadata["model_name"] == PROVIDERS[provider].demo_model

    async def test_scripts_see_system_prompt_and_unanswered_texts(self, models: ModelClients, provider: str) -> None:
        model = models.of(provider)
        assert (await model.ainvoke("olá")).text == "sou o padrão"
        assert (await model.ainvoke([VIP, HumanMessage("olá")])).text == "Às suas ordens."
        talk = [SYSTEM, HumanMessage("velho"), AIMessage("eco: velho"), HumanMessage("um"), HumanMessage("dois")]
        assert (await model.ainvoke(talk)).text == f"eco: um\ndois ({provider})"

    async def test_tool_rounds(self, models: ModelClients, provider: str) -> None:
        model = models.of(provider).bind_tools(TOOLS)
        talk: list[BaseMessage] = [SYSTEM, HumanMessage("quero marcar na terça, agora")]
        first = await model.ainvoke(talk)
        call = first.tool_calls[0]
        assert (first.text, call["name"], call["args"]) == ("Um instante.", "find_slots", {"day": "terça", "limit": 2})
        assert first.response_metadata["finish_reason"] in ("tool_calls", "STOP")
        talk += [first, ToolMessage('{"slots": [{"id": 7}, {"id": 8}]}', tool_call_id=call["id"])]
        assert (await model.ainvoke(talk)).tool_calls[0]["args"] == {"id": 7, "note": "vaga 7"}
        talk[1] = HumanMessage("quero marcar na terça")
        assert (await model.ainvoke(talk)).text == "Tenho: 7 8"

    async def test_parallel_calls(self, models: ModelClients, provider: str) -> None:
        model = models.of(provider).bind_tools(TOOLS)
        talk: list[BaseMessage] = [SYSTEM, HumanMessage("preço e vaga")]
        first = await model.ainvoke(talk)
        slots, price = first.tool_calls
        assert (slots["name"], price["name"], price["args"]) == ("find_slots", "price_of", {"what": "limpeza"})
        talk += [first, ToolMessage('{"slots": [1, 2]}', tool_call_id=slots["id"])]
        talk.append(ToolMessage("R$ 90", tool_call_id=price["id"]))
        assert (await model.ainvoke(talk)).text == "2 vagas, R$ 90"

    @pytest.mark.parametrize("method", ["function_calling", "json_schema", "json_mode"])
    async def test_structured(self, models: ModelClients, provider: str, method: str) -> None:
        model = models.of(provider).with_structured_output(Route, method=method, include_raw=True)
        reply: Any = await model.ainvoke([SYSTEM, HumanMessage("quero Marcar, responda em JSON")])
        assert reply["parsed"] == Route(to="agenda", reason="Marcar", messages=1)
        assert reply["raw"].usage_metadata["output_tokens"] > 0

    async def test_streaming(self, models: ModelClients, provider: str) -> None:
        model = models.of(provider).bind_tools(TOOLS)
        chunks = [chunk async for chunk in model.astream([SYSTEM, HumanMessage("longo")])]
        whole: Any = reduce(add, chunks)
        assert sum(bool(chunk.text) for chunk in chunks) == 5
        assert (whole.text, whole.usage_metadata["output_tokens"]) == ("uma resposta de muitas palavras", 8)
        assert whole.response_metadata["finish_reason"].lower() == "stop"
        whole = reduce(add, [chunk async for chunk in model.astream([SYSTEM, HumanMessage("preço e vaga")])])
        assert [call["name"] for call in whole.tool_calls] == ["find_slots", "price_of"]
        assert whole.tool_calls[1]["args"] == {"what": "limpeza"}


ERRORS: dict[str, tuple[type[Exception], type[Exception], type[Exception]]] = {
    # The errors of the clients, in the order of the dialects.
    "p_429": (core.ModelRateLimitError, groq.RateLimitError, core.ModelRateLimitError),
    "p_500": (core.ModelAPIError, groq.InternalServerError, core.ModelAPIError),
    "p_503": (core.ModelAPIError, groq.InternalServerError, core.ModelAPIError),
    "p_timeout": (core.ModelTimeoutError, groq.APITimeoutError, TimeoutError),
    "p_drop": (core.ModelConnectionError, groq.APIConnectionError, aiohttp.ServerDisconnectedError),
    "p_garbage": (json.JSONDecodeError, json.JSONDecodeError, json.JSONDecodeError),
}


@in_loop
class TestFaults:
    @each_provider
    @pytest.mark.parametrize("fault", ERRORS)
    async def test_outage(self, url: str, models: ModelClients, provider: str, fault: str) -> None:
        plan(url, only_provider=provider, count=1, **{fault: 1})
        with pytest.raises(ERRORS[fault][get_args(Dialect).index(PROVIDERS[provider].dialect)]):
            await models.ask(provider, "bom dia", 0.5 if fault == "p_timeout" else 10)
        assert (await models.ask(provider, "bom dia")).text == f"eco: bom dia ({provider})"
        assert control(url, "faults")["injected"] == 1

    @each_provider
    async def test_call_without_result(self, models: ModelClients, provider: str) -> None:
        called = AIMessage("", tool_calls=[{"name": "find_slots", "args": {}, "id": "call_1"}])
        with pytest.raises((core.ModelInvalidRequestError, groq.BadRequestError)):
            await models.of(provider).ainvoke([SYSTEM, HumanMessage("oi"), called, HumanMessage("e aí?")])

    @each_provider
    async def test_answer_is_spoilt(self, url: str, models: ModelClients, provider: str) -> None:
        assert (await models.ask(provider, "vazio")).content == ""
        cut = await models.ask(provider, "corte")
        assert (cut.text, cut.response_metadata["finish_reason"] in ("length", "MAX_TOKENS")) == ("um texto b", True)
        broken = await models.ask(provider, "quebre")
        assert not broken.tool_calls
        assert broken.invalid_tool_calls or broken.response_metadata["finish_reason"] == "MALFORMED_FUNCTION_CALL"
        plan(url, p_bad_args=1)
        assert (await models.ask(provider, "bom dia")).text == f"eco: bom dia ({provider})"
        plan(url, p_empty=1)
        assert (await models.ask(provider, "bom dia")).content == ""

    @pytest.mark.usefixtures("url")
    async def test_refusals(self, models: ModelClients) -> None:
        assert "can't" in (await models.ask("openai", "recuse")).additional_kwargs["refusal"]
        assert "can't" in (await models.ask("groq", "recuse")).text
        assert (await models.ask("google", "recuse")).response_metadata["finish_reason"] == "SAFETY"

    async def test_rule_fails_once_and_rate_limit_says_when(self, url: str, models: ModelClients) -> None:
        with pytest.raises(core.ModelAPIError):
            await models.ask("openai", "instável")
        assert (await models.ask("openai", "instável")).text == "eco: instável (openai)"
        plan(url, p_429=1, retry_after_s=7)
        with pytest.raises(openai.RateLimitError) as limited:
            await models.ask("openai", "bom dia")
        assert limited.value.response.headers["retry-after"] == "7"

    async def test_waiting_requests_hold_nothing_up(self) -> None:
        body = request({"role": "system", "content": SYSTEM.content}, {"role": "user", "content": "espere"})
        async with httpx.AsyncClient(headers=KEY, limits=httpx.Limits(), timeout=60) as http:
            with running("--script", str(EXAMPLE)) as address:
                waiting = [asyncio.create_task(http.post(address + OPENAI, json=body)) for _ in range(200)]
                await asyncio.to_thread(until, lambda: control(address, "stats")["in_flight"] == 200)
                for task in waiting[1:]:
                    task.cancel()
                await asyncio.to_thread(until, lambda: control(address, "stats")["by_status"] == {"499": 199})
                assert control(address, "stats")["in_flight"] == 1
            with pytest.raises(httpx.HTTPError):
                await waiting[0]


def request(*messages: object) -> dict[str, object]:
    return {"model": "m", "messages": messages}


USER = {"role": "user", "content": "oi"}
CALLS = [{"id": key, "type": "function", "function": {"name": "f", "arguments": "{}"}} for key in "ab"]
CALLED = {"role": "assistant", "content": None, "tool_calls": CALLS}
RESULT = {"role": "tool", "tool_call_id": "a", "content": "x"}
SAID = {"role": "user", "parts": [{"text": "oi"}]}
CALLING = {"role": "model", "parts": [{"functionCall": {"name": "f", "args": {}}}]}
RESPONSE = {"role": "user", "parts": [{"functionResponse": {"name": "f", "response": {"output": "x"}}}]}
WRONG_HISTORIES: list[tuple[str, list[object]]] = [
    ("too short", []),
    ("did not have response messages: b", [USER, CALLED, RESULT, USER]),
    ("must be a response to a preceeding message", [USER, RESULT]),
    ("of 'z' not found", [USER, CALLED, RESULT | {"tool_call_id": "z"}]),
    ("Invalid value: 'contact'", [USER | {"role": "contact"}]),
    ("got null", [USER | {"content": None}]),
]
WRONG_CONTENTS: list[tuple[str, list[object]]] = [
    ("contents is not specified", []),
    ("must not be empty", [{"role": "user", "parts": []}]),
    ("immediately after a function call turn", [SAID, RESPONSE]),
    ("number of function response parts", [SAID, CALLING, SAID]),
    ("immediately after a user turn", [CALLING, RESPONSE]),
    ("valid role", [SAID | {"role": "assistant"}]),
]


@pytest.mark.parametrize(("reason", "turns"), [*WRONG_HISTORIES, *WRONG_CONTENTS])
def test_history_is_checked(server: str, reason: str, turns: list[object]) -> None:
    gemini = (reason, turns) in WRONG_CONTENTS
    for path in [GEMINI] if gemini else [OPENAI, GROQ]:
        answer = post(server, path, {"contents": turns} if gemini else request(*turns))
        assert (answer.status_code, reason in answer.json()["error"]["message"]) == (400, True)


def test_key_is_needed(url: str) -> None:
    assert post(url, OPENAI, request(USER), {}).json()["error"]["code"] == "invalid_api_key"
    assert post(url, GROQ, request(USER), {}).status_code == 401
    assert post(url, GEMINI, {"contents": [SAID]}, {}).json()["error"]["status"] == "UNAUTHENTICATED"
    with running("--key", "secret", "--no-log", "--latency-ms", "1") as other:
        assert [post(other, path, {}).status_code for path in (OPENAI, GROQ, GEMINI)] == [401, 401, 401]
        assert (control(other, "requests")["requests"], control(other, "faults")["latency_ms"]) == ([], 1)


@in_loop
async def test_embeddings(server: str) -> None:
    async with httpx.AsyncClient() as http:
        more: dict[str, Any] = {"dimensions": 256, "check_embedding_ctx_length": False, "http_async_client": http}
        model = OpenAIEmbeddings(api_key=SecretStr("any"), base_url=f"{server}/v1", **more)
        first, near, far = await model.aembed_documents(["horário de sábado", "Horarios no sabado", "preço do canal"])
        assert await model.aembed_query("horário de sábado") == first
    assert (len(first), round(math.hypot(*first), 4)) == (256, 1.0)
    assert math.sumprod(first, near) > 0.4 > math.sumprod(first, far)


WRONG_RULES: list[tuple[str, str]] = [
    ("say: [a", ":4:1: "),
    ("say: a\n    whn: {}", ":4:5: unknown key `whn`: did you mean `when`?"),
    ("{say: a, when: {user: '('}}", ":3:27: rules[0].when.user: not a regular expression"),
    ("say: '{{ usr }}'", ":3:10: rules[0].say: unknown variable `usr`"),
    ("json:\n      a: '{% if %}'", ":4:10: rules[0].json.a: "),
    ("fail: bad_args", ":3:5: rules[0]: `fail: bad_args` needs"),
    ("say: a\n---\nname: y\nrules: [{say: a}]", "without `match`, but x is already the default"),
]


@pytest.mark.parametrize(("rule", "reason"), WRONG_RULES)
def test_wrong_script_ends_the_process(tmp_path: Path, rule: str, reason: str) -> None:
    script = tmp_path / "wrong.yaml"
    script.write_text(f"name: x\nrules:\n  - {rule}\n", encoding="utf-8")
    command = [sys.executable, "-m", "devkit.simulators.llm", "--port", "0", "--script", str(script)]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=20, check=False)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert (ended.stderr.startswith(str(script)), reason in ended.stderr) == (True, True)


def test_scripts_are_replaced_until_reset(url: str) -> None:
    def said() -> str:
        return str(post(url, OPENAI, request(USER)).json()["choices"][0]["message"]["content"])

    httpx.post(f"{url}/control/scripts", content="name: outros\nrules: [{say: novo}]")
    assert said() == "novo"
    answer = httpx.post(f"{url}/control/scripts", content="name: outros\nrules: [{sya: novo}]")
    assert (answer.status_code, said()) == (400, "novo")
    assert answer.json()["error"].startswith("posted:2:10: unknown key `sya`: did you mean `say`?")
    httpx.post(f"{url}/control/scripts", content="name: outros\nrules: [{say: '{{ result.x.y }}'}]")
    assert "posted:2: UndefinedError" in post(url, OPENAI, request(USER)).json()["error"]["message"]
    post(url, "/control/reset")
    assert said() == "sou o padrão"


def test_log_and_counts(url: str) -> None:
    talk = request(USER, CALLED, RESULT, RESULT | {"tool_call_id": "b"})
    post(url, OPENAI, talk | {"tools": [tool("f", x="string")]})
    post(url, GEMINI, {"contents": [SAID, SAID]})
    post(url, GROQ, request())
    first, second, third = control(url, "requests?since=0")["requests"]
    assert [first[key] for key in ("provider", "script", "rule", "tools")] == ["openai", "outros", 0, ["f"]]
    heard = [(message["role"], message["name"]) for message in first["messages"]]
    assert heard == [("user", ""), ("assistant", ""), ("tool", "f"), ("tool", "f")]
    assert first["messages"][1]["tool_calls"][0] == {"id": "a", "name": "f", "arguments": {}}
    assert (second["answer"]["kind"], second["answer"]["text"]) == ("text", "sou o padrão")
    assert (third["status"], third["answer"]["kind"]) == (400, "error")
    assert [row["index"] for row in control(url, "requests?since=1&limit=1")["requests"]] == [2]
    stats = control(url, "stats")
    assert [stats[key] for key in ("requests", "in_flight", "max_in_flight")] == [3, 0, 1]
    assert (stats["by_provider"], stats["by_status"]) == ({"openai": 1, "google": 1, "groq": 1}, {"200": 2, "400": 1})


def test_plan_of_faults(url: str) -> None:
    drawn = []
    for _ in range(2):
        plan(url, p_500=0.5, seed=3)
        drawn.append([post(url, OPENAI, request(USER)).status_code for _ in range(20)])
    assert (drawn[0], set(drawn[0])) == (drawn[1], {200, 500})
    assert "did you mean p_drop" in post(url, "/control/faults", {"p_dorp": 1}).json()["error"]
    assert post(url, "/control/faults", {"p_429": 2}).status_code == 400
