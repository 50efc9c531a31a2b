"""Fake secrets of every shape, assembled here so that no file of this repository contains one."""

import random
import string

ALNUM = string.ascii_letters + string.digits
HEX = "0123456789abcdef"

BEFORE = {
    "nothing": "",
    "a word": "use ",
    "a colour": "\x1b[32m",
    "two colours": "\x1b[1m\x1b[38;2;255;100;0m",
    "a colour that ends": "\x1b(B\x1b[m",
    "a cleared line": "\x1b[2K\x1b[1G",
    "a colour in JSON": "\\u001b[32m",
    "a colour in C": "\\x1b[0;32m",
    "a colour in a shell": "\\033[32m",
    "a colour without its first character": "[32m",
    "an address": "?q=%3D",
    "an address in small letters": "%3f%3d",
    "an address in an address": "%253D",
    "JSON of Go": "\\u003c",
    "a line of a text in a text": "\\n",
    "a line of a text in a text in a text": "\\\\n",
    "a tab of a text in a text": "\\t",
    "hexadecimal": "\\x3d",
    "a long escape": "\\U0000003d",
}
"""What stands before a token in logs, addresses and texts of texts, by its name."""
BEFORE_SHAPES = {
    "octal": "\\075",
    "a null in C": "\\0",
    "an escape in a shell": "\\e",
    "a form feed of JSON": "\\f",
    "an e-mail": "=3D",
    "the length in a pickle": "\x8c3",
}
"""The same, where it could be a part of a number; only before tokens with a shape of their own."""


def _of(characters: str, count: int, chance: random.Random) -> str:
    return "".join(chance.choices(characters, k=count))


def tokens(seed: int = 0) -> dict[str, str]:
    """One secret of each shape, by its name. Each seed gives different ones."""
    chance = random.Random(seed)
    number = _of(HEX, 40, chance)
    return {
        "hugging face": "hf_" + _of(ALNUM, 34, chance),
        "hugging face letters": "hf_" + _of(string.ascii_letters, 34, chance),
        "github classic": "ghp_" + _of(ALNUM, 36, chance),
        "github oauth": "gho_" + _of(ALNUM, 36, chance),
        "github app": "ghs_" + _of(ALNUM, 36, chance),
        "github fine": "github_pat_" + _of(ALNUM, 22, chance) + "_" + _of(ALNUM, 59, chance),
        "gitlab": "glpat-" + _of(ALNUM + "_-", 19, chance) + _of(ALNUM, 1, chance),
        "aws": "AKIA" + _of(string.ascii_uppercase + "234567", 16, chance),
        "aws session": "ASIA" + _of(string.ascii_uppercase + "234567", 16, chance),
        "google": "AIza" + _of(ALNUM + "_", 35, chance),
        "slack": "xoxb-" + _of(string.digits, 12, chance) + "-" + _of(ALNUM, 24, chance),
        "openai": "sk-proj-" + _of(ALNUM, 48, chance),
        "anthropic": "sk-ant-api03-" + _of(ALNUM, 95, chance),
        "npm": "npm_" + _of(ALNUM, 36, chance),
        "pypi": "pypi-AgE" + _of(ALNUM, 60, chance),
        "docker hub": "dckr_pat_" + _of(ALNUM + "_-", 27, chance),
        "picsellia variable": f"PICSELLIA_TOKEN={number}",
        "picsellia quoted": f"PICSELLIA_acme_PROD_API_TOKEN = '{number}'",
        "picsellia argument": f'Client(api_token="{number}")',
        "picsellia in json": f'{{"api_token": "{number}"}}',
        "picsellia in a notebook": f'os.environ[\\"PICSELLIA_TOKEN\\"] = \\"{number}\\"',
        "picsellia annotated": f'api_token: str = "{number}"',
        "picsellia in a dockerfile": f"ENV PICSELLIA_TOKEN {number}",
        "picsellia header": f"Authorization: Bearer {number}",
        "picsellia plain name": f'TOKEN = "{number}"',
        "picsellia in yaml": f"token: {number}",
        "picsellia first argument": f'Client("{number}", "acme")',
        "picsellia pickled": f"api_token\x94\x8c({number}",
        "picsellia in a task": f'{{"name": "PICSELLIA_TOKEN", "value": "{number}"}}',
        "picsellia in xml": f'<add key="PICSELLIA_TOKEN" value="{number}"/>',
        "picsellia default of an option": f'add_argument("--api-token", type=str, default="{number}")',
        "picsellia default of a field": f'api_token: str = Field(default="{number}")',
        "picsellia default of a variable": f'os.environ.get("PICSELLIA_TOKEN") or "{number}"',
        "picsellia default in a shell": f"${{PICSELLIA_TOKEN:-{number}}}",
        "picsellia formatted": f'API_TOKEN = f"{number}"',
        "picsellia bytes": f'API_TOKEN = b"{number}"',
        "picsellia header of a token": f"Authorization: Token {number}",
        "weights and biases": f"WANDB_API_KEY={number}",
        "rsa key": private_key("RSA ", chance),
        "key": private_key("", chance),
        "openssh key": private_key("OPENSSH ", chance),
        "encrypted key": private_key("ENCRYPTED ", chance),
        "key in json": private_key("", chance).replace("\n", "\\n"),
        "old encrypted key": "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES",
        "pgp key": "-----BEGIN PGP PRIVATE KEY BLOCK-----\n\n" + _of(ALNUM + "+/", 64, chance),
    }


def tokens_in_files(seed: int = 0) -> dict[str, str]:
    """The same, with those whose name or beginning is on a line of its own, as only files have them."""
    chance = random.Random(seed)
    number = _of(HEX, 40, chance)
    return {
        **tokens(seed),
        "picsellia in a manifest": f'- name: PICSELLIA_TOKEN\n              value: "{number}"',
        "picsellia in terraform": f'variable "picsellia_token" {{\n type = string\n default = "{number}"\n}}',
        "rsa key in literals": private_key("RSA ", chance).replace("\n", '\\n"\n    "'),
    }


def private_key(kind: str, chance: random.Random) -> str:
    lines = "\n".join(_of(ALNUM + "+/", 64, chance) for _ in range(3))
    return f"-----BEGIN {kind}PRIVATE KEY-----\n{lines}\n-----END {kind}PRIVATE KEY-----"
