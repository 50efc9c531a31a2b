"""Fake secrets of every shape, assembled here so that no file of this repository contains one."""

import random
import string

ALNUM = string.ascii_letters + string.digits
HEX = "0123456789abcdef"


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
        "weights and biases": f"WANDB_API_KEY={number}",
        "rsa key": private_key("RSA ", chance),
        "key": private_key("", chance),
        "openssh key": private_key("OPENSSH ", chance),
        "encrypted key": private_key("ENCRYPTED ", chance),
        "key in json": private_key("", chance).replace("\n", "\\n"),
        "old encrypted key": "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES",
        "pgp key": "-----BEGIN PGP PRIVATE KEY BLOCK-----\n\n" + _of(ALNUM + "+/", 64, chance),
    }


def private_key(kind: str, chance: random.Random) -> str:
    lines = "\n".join(_of(ALNUM + "+/", 64, chance) for _ in range(3))
    return f"-----BEGIN {kind}PRIVATE KEY-----\n{lines}\n-----END {kind}PRIVATE KEY-----"
