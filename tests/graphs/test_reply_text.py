"""Markdown of models becomes what WhatsApp shows, and what WhatsApp shows already stays."""

import pytest

from graphs.reply_text import for_whatsapp

PAGE = """## Horários

**Segunda a sexta:** 8h às 18h

- *Sábado*: 9h
- ~~Domingo~~

| Plano | Preço | Prazo |
|:---|---:|---|
| Básico | R$ 10 | 1 mês |
| Pro \\| Plus | R$ 20 | |

---

Veja [o site](https://exemplo.com/a_b_c)."""

SHOWN = """*Horários*

*Segunda a sexta:* 8h às 18h

- *Sábado*: 9h
- ~Domingo~

- Básico - Preço: R$ 10; Prazo: 1 mês
- Pro | Plus - Preço: R$ 20

Veja o site (https://exemplo.com/a_b_c)."""


def test_a_page_of_markdown() -> None:
    assert for_whatsapp(PAGE) == SHOWN


@pytest.mark.parametrize(
    "text",
    [
        "2 * 3 e 4 * 5",
        "2**3 = 8",
        "a_b_c e snake_case_nome",
        "de R$ 10 ~ R$ 20",
        "*já em negrito* e _itálico_ e ~riscado~",
        "cartão **** **** **** 1234, CPF ***.456.789-**",
        "#promocao #1",
        "C# e F# são linguagens",
        "<3 5 > 3 & 2 < 4",
        "> uma citação",
        "1. um\n2. dois",
        "- um\n  - dentro",
        "texto [1] e [opcional]",
        "`**código**`",
        "ana_maria_b@exemplo.com",
        "https://exemplo.com/a_b_c?x=__y__&z=**",
        "CPF 123.***.***-** ou ***.456.789-**",
        "cartão 5555********4444 e celular (11) 9****-1234",
        "an***@exemplo.com e ana@ex****.com.br",
        "10**2 + 3**2",
        "5* de avaliação, 4* não",
        "***",
        "[1]: valor",
        "Preços: R$ 10 | R$ 20",
        "vazio",
        "",
    ],
)
def test_what_is_not_markdown_stays(text: str) -> None:
    assert for_whatsapp(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("**a** e **b**", "*a* e *b*"),
        ("***a***", "*_a_*"),
        ("__a b__", "*a b*"),
        ("**Preço:**R$ 10", "*Preço:* R$ 10"),
        ("**sem fim", "sem fim"),
        ("**em duas\nlinhas**", "*em duas*\n*linhas*"),
        ("**um *dois* três**", "*um _dois_ três*"),
        ("***um** dois*", "_*um* dois_"),
        ("**Nome: **Ana", "*Nome:* Ana"),
        ("Preço**R$ 10** hoje", "Preço *R$ 10* hoje"),
        ("para**béns**!", "para *béns*!"),
        ("**Site:**https://a.com", "*Site:* https://a.com"),
        ("__**a**__", "*a*"),
        ("# Título #", "*Título*"),
        ("### **Título**", "*Título*"),
        ("Título\n======\ntexto", "*Título*\ntexto"),
        ("* um\n+ dois\n    * três", "- um\n- dois\n    - três"),
        ("- [ ] a\n- [x] b", "- ☐ a\n- ☑ b"),
        ("a\n\n***\n\nb", "a\n\nb"),
        ("[https://a.com](https://a.com/)", "https://a.com/"),
        ("[a.com](https://www.a.com)", "https://www.a.com"),
        ("**[site](https://a.com/x_y)**", "*site (https://a.com/x_y)*"),
        ("[wiki](https://a.com/x_(y))", "wiki (https://a.com/x_(y))"),
        ('[a](https://a.com "Título")', "a (https://a.com)"),
        ("![foto](https://a.com/f.png)", "foto (https://a.com/f.png)"),
        ("[ana](mailto:ana@a.com) [fone](tel:+5511)", "ana (ana@a.com) fone (+5511)"),
        ("<https://a.com/x_y> <ana@a.com>", "https://a.com/x_y ana@a.com"),
        ("[o site][1]\n\n[1]: https://a.com/b_c", "o site (https://a.com/b_c)"),
        ("a<br>b<br/>c", "a\nb\nc"),
        ("<b>a</b> <i>b</i> <del>c</del> <u>d</u>", "*a* _b_ ~c~ d"),
        ('<a href="https://a.com">aqui</a>', "aqui (https://a.com)"),
        ("<ul><li>um</li><li>dois</li></ul>", "- um\n- dois"),
        ("R$&nbsp;10 &amp; frete", "R$ 10 & frete"),
        ("\\*não é negrito\\*", "*não é negrito*"),
        ("```python\na = 2**3\n# nada\n```\nfim", "```\na = 2**3\n# nada\n```\nfim"),
        ("| a |\n|---|\n| b |", "a\n- b"),
        ("|a|b|\n|-|-|\n|1|2<br>3|", "- 1 - b: 2, 3"),
        ("| a | b |\n| 1 | 2 |", "a - b\n1 - 2"),
        ("##Título", "*Título*"),
        ("> ## Título", "> *Título*"),
        ("## [a](https://a.com/__b__)", "*a (https://a.com/__b__)*"),
        ("1. [x] a", "1. ☑ a"),
        ("[![foto](https://a.com/f.png)](https://a.com)", "foto (https://a.com)"),
        ("[site]\n\n[site]: https://a.com", "site (https://a.com)"),
        ("Diz a lei [1].\n\n[1]: https://a.com", "Diz a lei [1].\n\n[1]: https://a.com"),
        ("[a](<https://a.com/b c>) [d] (https://d.com)", "a (https://a.com/b%20c) d (https://d.com)"),
        ("[aqui](https://a.com): https://a.com", "aqui: https://a.com"),
        ("[Acesse https://a.com](https://a.com)", "Acesse https://a.com"),
        ("[a](https://a.com/?b=1&lt=2)", "a (https://a.com/?b=1&lt=2)"),
        ("https://a.com/?b=1&amp;c=2", "https://a.com/?b=1&c=2"),
        ("https://a.com/b\\_c", "https://a.com/b_c"),
        ("texto[^1]\n\n[^1]: nota", "texto[1]\n\n[1]: nota"),
        ("<h2>T</h2><p>a</p>", "*T*\na"),
        ("<ul>\n<li>a</li>\n<li>b</li>\n</ul>", "- a\n- b"),
        ("use <code>a_b</code><!-- nota -->", "use `a_b`"),
        ("<b>a\nb</b>", "*a*\n*b*"),
        ('<img src="https://a.com/f.png" alt="foto">', "foto (https://a.com/f.png)"),
        ("```markdown\n# Título\n**a**\n```", "*Título*\n*a*"),
        ("```2 x 3\n4```", "```\n2 x 3\n4\n```"),
        ("```Pix_1``` depois", "```Pix_1``` depois"),
        ("``x``", "`x`"),
    ],
)
def test_notation_becomes_whatsapps(text: str, shown: str) -> None:
    assert for_whatsapp(text) == shown


@pytest.mark.parametrize(
    "piece", ["*", "**a", "__a", "~~a ", "[", "[a](", "`", "<a href=", "|", "<", "&", "[a]: ", "a_"]
)
def test_a_hostile_text_is_read_to_its_end(piece: str) -> None:
    """A search that takes quadratic time would not end within the limit of a test."""
    assert isinstance(for_whatsapp(piece * (32_000 // len(piece))), str)
