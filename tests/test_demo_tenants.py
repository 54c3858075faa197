"""The demo's tenants, in conversations with the simulated model, against the demo's shop and school."""

import re
import shutil
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest

from app.errors import RecadoError
from devkit.demo import CLINIC, SCHOOL, SHOP, TENANTS, DemoTenant, adapt, own_tenants
from devkit.stack import Number, Processes, TenantSetup
from graphs.rules import RuleInput
from manifest.folder import load_folder
from manifest.loader import MAIN, load
from tests.app.turns.drivers import decide, pending_interrupt
from tests.platform import ACCOUNT_SID, CONTACT, Platform
from tests.platform import TOKEN as AUTH_TOKEN

ROOT = Path(__file__).parents[1]
TOKEN = "the-parts-token"
USUAL = {"shop": "http://127.0.0.1:4030", "school": "http://127.0.0.1:4040"}

Parts = Mapping[str, str]


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Parts]:
    """Where the shop and the school listen, as separate programs."""
    processes = Processes({}, tmp_path_factory.mktemp("tool-servers"))
    for name in USUAL:
        processes.add(name, f"devkit.simulators.{name}", "--port", "0", "--token", TOKEN)
    yield processes.start()
    assert processes.stop() == {"shop": 0, "school": 0}


class Chat:
    """A contact and a tenant of the demo."""

    def __init__(self, platform: Platform, tenant: DemoTenant, part: str) -> None:
        self._platform = platform
        self._tenant = tenant
        self._part = part

    async def say(self, text: str) -> list[str]:
        """The contact writes; what it has got when all is quiet."""
        before = len(await self._platform.delivered())
        await self._platform.say(text, To=self._tenant.address)
        return await self._settled(before)

    async def operator(self, action: str) -> list[str]:
        """An operator decides; what the contact has got when all is quiet."""
        before = len(await self._platform.delivered())
        await decide(self._platform, action)
        return await self._settled(before)

    async def there(self) -> Any:
        """What the shop, or the school, has."""
        return await self._platform.control(self._part, "state")

    async def breaks(self, fault: str) -> None:
        """The next request to the shop goes wrong."""
        await self._platform.control(self._part, "faults", {"fault": fault})

    async def _settled(self, before: int) -> list[str]:
        # Nobody wants to wait for what a contact may still add.
        self._platform.clock.advance(30)
        await self._platform.nudge()
        await self._platform.quiet()
        return (await self._platform.delivered())[before:]


@asynccontextmanager
async def chat(platform: Platform, parts: Parts, tenant: DemoTenant) -> AsyncIterator[Chat]:
    """The tenant as `recado demo` publishes it, served by a worker whose tools may reach loopback."""
    assert platform.engine is not None
    assert tenant.tool_server is not None
    await platform.control(parts[tenant.tool_server], "reset", {})
    script = (ROOT / "devkit" / "simulators" / "scripts" / f"{tenant.slug}.yaml").read_bytes()
    async with platform.http.post(f"{platform.servers.model}/control/scripts", data=script) as answer:
        assert answer.status == 200, await answer.text()
    loaded = load_folder(ROOT / "tenants" / tenant.slug)
    here, there = USUAL[tenant.tool_server], parts[tenant.tool_server]
    files = {name: text.replace(here, there) for name, text in loaded.files.items()}
    number = Number(ACCOUNT_SID, AUTH_TOKEN, tenant.address)
    setup = TenantSetup(tenant.slug, load(files), number, {tenant.credential: TOKEN})
    await platform.set_up_tenant(setup)
    await platform.engine.close()
    async with platform.worker(allowed_networks=(ip_network("127.0.0.0/8"),)) as engine:
        platform.engine = engine
        yield Chat(platform, tenant, parts[tenant.tool_server])


@pytest.mark.parametrize("tenant", TENANTS, ids=lambda tenant: tenant.slug)
def test_every_tenant_is_valid_and_the_demo_knows_its_secrets(tenant: DemoTenant) -> None:
    loaded = load_folder(ROOT / "tenants" / tenant.slug)
    needed = frozenset().union(*(tool.secrets for tool in loaded.assistant.tools.values()))
    assert needed == {tenant.credential} - {""}
    assert (ROOT / "devkit" / "simulators" / "scripts" / f"{tenant.slug}.yaml").exists()


def test_the_shop_tools_come_from_its_openapi_document() -> None:
    served = ROOT / "devkit" / "simulators" / "shop" / "openapi.yaml"
    assert (ROOT / "tenants" / "loja-aurora" / "loja.yaml").read_bytes() == served.read_bytes()


def test_models_are_replaced_however_they_are_written(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(CLINIC.path, tmp_path / "minha"))
    text = (folder / MAIN).read_text()
    (inline,) = re.findall(r"default: \{(provider: \w+), (model: [\w./-]+)(?:, (.*?))?\}", text)
    block = "default:" + "".join(f"\n    {line}" for line in inline if line)
    (folder / MAIN).write_text(re.sub(r"default: \{provider: .*?\}", block, text, count=1))
    (tenant,) = own_tenants([folder])
    places = dict.fromkeys(("shop", "school", "model", "twilio", "api"), "")
    assert {spec.provider for spec in adapt(tenant, {"GOOGLE_API_KEY": "key"}, places).assistant.models} == {"google"}


def test_own_tenants_keep_their_numbers(tmp_path: Path) -> None:
    folders = [Path(shutil.copytree(CLINIC.path, tmp_path / name)) for name in ("uma", "outra")]
    assert own_tenants(folders) == own_tenants(folders[::-1])[::-1]
    assert len({tenant.address for tenant in (*TENANTS, *own_tenants(folders))}) == len(TENANTS) + 2


def test_a_folder_with_a_shipped_tenants_name_is_refused() -> None:
    with pytest.raises(RecadoError, match="clinica-sorriso is in the demo already: give your folder another name"):
        own_tenants([CLINIC.path])


@pytest.mark.parametrize("tenant", TENANTS, ids=lambda tenant: tenant.slug)
def test_the_demo_uses_providers_with_keys_and_local_servers(tenant: DemoTenant) -> None:
    elsewhere = {"shop": "http://127.0.0.1:51", "school": "http://127.0.0.1:52", "model": "", "twilio": "", "api": ""}
    loaded = adapt(tenant, {"GOOGLE_API_KEY": "key"}, elsewhere)
    agents = loaded.assistant.agents.values()
    assert {spec.provider for spec in loaded.assistant.models} == {"google"}
    assert {spec.provider for agent in agents for spec in agent.models} <= {"google"}
    text = "".join(loaded.files.values())
    assert not any(usual in text for usual in USUAL.values())
    assert tenant.tool_server is None or elsewhere[tenant.tool_server] in text


@pytest.mark.parametrize(
    ("tenant", "rule_input", "to"),
    [
        (CLINIC, RuleInput("quero falar com alguém"), "handoff"),
        (SHOP, RuleInput("uma pessoa, por favor"), "handoff"),
        (SHOP, RuleInput("uma pessoa, por favor", outside_hours=True), "plantao"),
        (SHOP, RuleInput("tem vestido?", outside_hours=True), None),
        (SHOP, RuleInput("tem vestido?", tags=frozenset({"vip"})), "vip"),
        (SHOP, RuleInput("rastrear", button="rastrear_1002"), "pedidos"),
        (SCHOOL, RuleInput("bom dia", language="pt", first_message=True), "recepcao"),
        (SCHOOL, RuleInput("Gostaria de fazer uma matrícula", language="pt", first_message=True), "matricula"),
        (SCHOOL, RuleInput("ver", button="matricula_2027", language="pt"), "matricula"),
        (SCHOOL, RuleInput("Do you speak English?", language="en", first_message=True), "english"),
        (SCHOOL, RuleInput("e-mail", language="en"), None),
    ],
)
def test_rules_decide(tenant: DemoTenant, rule_input: RuleInput, to: str | None) -> None:
    rules = load_folder(ROOT / "tenants" / tenant.slug).assistant.rules
    assert next((rule.to for rule in rules if rule.applies(rule_input)), None) == to


async def test_an_order_s_status_comes_from_the_shop(platform: Platform, parts: Parts) -> None:
    async with chat(platform, parts, SHOP) as shop:
        (reply,) = await shop.say("Onde está o pedido 1002?")
        assert reply.startswith("O pedido *1002* está a caminho: rastreio AU123456789BR")
        assert await shop.say("e o 9999?") == ["Não encontrei esse pedido. Pode conferir o número?"]
        assert (await shop.there())["requests"] == {"GET /v1/orders/1002": 1, "GET /v1/orders/9999": 1}


async def test_products_are_searched_and_reserved_by_openapi(platform: Platform, parts: Parts) -> None:
    async with chat(platform, parts, SHOP) as shop:
        (found,) = await shop.say("Vocês têm vestido de linho?")
        assert "• Vestido de linho, tamanho M: R$ 289,90\n" in found
        assert "tamanho G: R$ 289,90 (esgotado)" in found
        (reserved,) = await shop.say("quero o primeiro")
        assert reserved.startswith("Reservei para você! É o pedido *2001*, R$ 289,90.")
        assert (await shop.there())["products"][0]["stock"] == 3


async def test_a_refund_waits_for_the_approval_and_happens_once(platform: Platform, parts: Parts) -> None:
    async with chat(platform, parts, SHOP) as shop:
        await shop.say("Onde está o pedido 1001?")
        # The agent of orders transfers to that of returns, which looks, and asks for the money back.
        (waits,) = await shop.say("quero devolver o pedido 1001, ficou pequeno")
        assert waits == "Só um instante: o financeiro precisa aprovar. Aviso você aqui mesmo."
        assert (await shop.there())["refunds"] == []
        interrupt = await pending_interrupt(platform)
        (call,) = interrupt["payload"]["calls"]
        assert (interrupt["kind"], interrupt["payload"]["queue"]) == ("approval", "financeiro")
        assert (call["tool"], call["arguments"]["order"]) == ("refund_order", "1001")

        # The shop pays, and its answer is lost: the same key asks again.
        await shop.breaks("drop_after")
        (done,) = await shop.operator("approve")
        assert done.startswith("Pronto! O reembolso de *R$ 289,90* do pedido 1001 foi aprovado")
        state = await shop.there()
        assert [(refund["order"], refund["amount"]) for refund in state["refunds"]] == [("1001", 28990)]
        assert [key["times"] for key in state["keys"]] == [2]


async def test_a_refused_cancellation_cancels_nothing(platform: Platform, parts: Parts) -> None:
    async with chat(platform, parts, SHOP) as shop:
        assert "número do pedido" in (await shop.say("Quero cancelar"))[0]
        await shop.say("cancelar o 1003, comprei errado")
        (told,) = await shop.operator("reject")
        assert told.startswith("O financeiro não aprovou o cancelamento")
        state = await shop.there()
        assert (state["orders"][2]["status"], state["keys"]) == ("preparing", [])


async def test_a_member_of_the_club_is_served_by_one_agent(platform: Platform, parts: Parts) -> None:
    async with chat(platform, parts, SHOP) as shop:
        await shop.say("oi")
        async with platform.system.statement() as tx:
            await tx.run("update contacts set tags = '{vip}' where address = %(address)s", {"address": CONTACT})
        assert (await shop.say("oi"))[0].startswith("Que bom ver você de novo! O Clube Aurora")


async def test_an_enrolment_survives_a_wrong_cpf_and_a_question(platform: Platform, parts: Parts) -> None:
    async with chat(platform, parts, SCHOOL) as school:
        welcome, name = await school.say("Quero matricular minha filha")
        assert welcome.startswith("Que bom!")
        assert name == "Qual é o *nome completo* do aluno ou da aluna?"
        await school.say("Lia Souza")
        (cpf,) = await school.say("23/04/2020")
        assert cpf == "Qual é o *CPF* de quem é responsável?"
        assert await school.say("529.982.247-24") == [f"Esse CPF não confere. Veja os números, por favor.\n{cpf}"]
        answer, again = await school.say("E quanto custa a mensalidade?")
        assert answer.startswith("A mensalidade do meio período é *R$ 1.290*")
        assert again == cpf
        await school.say("529.982.247-25")
        await school.say("ana@example.com")
        await school.say("1º ano")
        (check,) = await school.say("tarde")
        assert "*Lia Souza*, 23/04/2020" in check
        assert "1º ano, Tarde (5 vagas)" in check
        (done,) = await school.say("sim")
        assert done == "Pronto! A matrícula de Lia Souza é a *HZ-0001*. O contrato vai para ana@example.com. 🎒"
        (enrolment,) = (await school.there())["enrolments"]
        assert enrolment["student"] == {
            "name": "Lia Souza",
            "born": "2020-04-23",
            "cpf": "52998224725",
            "email": "ana@example.com",
        }
        assert list((await school.there())["keys"].values()) == [1]


async def test_a_full_class_goes_to_the_secretary(platform: Platform, parts: Parts) -> None:
    async with chat(platform, parts, SCHOOL) as school:
        for said in ("Quero fazer uma matrícula", "Leo Lima", "01/02/2019", "52998224725", "leo@example.com", "3"):
            await school.say(said)
        full, waits = await school.say("tarde")
        assert full.startswith("A turma 2º ano, Tarde, está lotada agora.")
        assert waits.startswith("A secretaria responde por aqui")
        assert (await pending_interrupt(platform))["kind"] == "handoff"
        assert (await school.there())["enrolments"] == []


async def test_who_writes_english_is_answered_in_english(platform: Platform, parts: Parts) -> None:
    async with chat(platform, parts, SCHOOL) as school:
        (reply,) = await school.say("Do you have places for a six year old?")
        assert reply.startswith("These are our classes: Infantil 5, mornings (3 places); 1º ano")
        assert (await school.say("Quais turmas têm vaga?"))[0].startswith("Estas são as turmas:")
