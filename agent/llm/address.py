"""Where an LLM is, which key goes there, and how that key is kept out of everything that is said."""

from __future__ import annotations

import os
import re
from functools import lru_cache
from typing import NamedTuple, Self
from urllib.parse import urlsplit

from lakatos.agent.config import DEFAULT_KEY_ENV, checked_address
from lakatos.tools.errors import UserError

OPENAI = "https://api.openai.com/v1"
_SECRET = 6  # characters: "none" and "EMPTY" are no secrets, and to hide them would garble answers
_UNSTORABLE = re.compile("[\0\ud800-\udfff]")  # no database takes these


class Endpoint(NamedTuple):
    """The address of a server, and the key that goes there."""

    url: str
    key_env: str
    key: str | None

    @classmethod
    def chosen(cls, base_url: str | None, key_env: str = DEFAULT_KEY_ENV) -> Self:
        """The endpoint that options and environment name: the option, else OPENAI_BASE_URL, else OpenAI's own.

        Raises:
            UserError: the address is none, or a key is missing or cannot be one.
        """
        try:
            url = checked_address(base_url or os.environ.get("OPENAI_BASE_URL") or OPENAI)
        except ValueError as error:
            name = "--llm-base-url" if base_url else "OPENAI_BASE_URL"
            raise UserError(f"{name} is no address of a server: {error}.") from None
        key = os.environ.get(key_env, "").strip() or None
        if key is None and key_env != DEFAULT_KEY_ENV:
            raise UserError(f"There is no key in {key_env}: set that variable, or name another with --llm-key-env.")
        if key is None and url == OPENAI:
            raise UserError(
                "OpenAI needs a key: set OPENAI_API_KEY, or give --llm-base-url for a server of your own "
                "(or --proposer attribution, which needs no LLM)."
            )
        if key is not None and not (key.isascii() and key.isprintable()):
            raise UserError(f"{key_env} holds no key: keys are printable ASCII characters in one line. Set it again.")
        return cls(url, key_env, key)

    @property
    def host(self) -> str:
        """Host and port, as the address has them."""
        return urlsplit(self.url).netloc

    @property
    def route(self) -> str:
        """Which key goes to which host, in a line."""
        if self.key is None:
            return f"No key goes to {self.host}: {self.key_env} is not set."
        parts = urlsplit(self.url)
        local = parts.hostname in ("localhost", "127.0.0.1", "::1")
        bare = "" if parts.scheme == "https" or local else ", unencrypted: the address begins with http://"
        return f"The key in {self.key_env} goes to {self.host}{bare}."

    def __repr__(self) -> str:
        """Without the key."""
        return f"Endpoint({self.url!r}, {self.key_env!r})"

    def redacted(self, text: str) -> str:
        """A stranger's text as it may be stored and shown: the key as "[key]", what no database takes as U+FFFD."""
        text = _UNSTORABLE.sub("\N{REPLACEMENT CHARACTER}", text)
        return text if self.key is None or len(self.key) < _SECRET else _spellings(self.key).sub("[key]", text)


@lru_cache(maxsize=4)
def _spellings(key: str) -> re.Pattern[str]:
    r"""Finds the key, its characters plain or escaped: `\u006b`, `\x6b`, `%6b`, `&#107;`, `&#x6b;`, `\\k`."""
    ways = []
    for character in key:
        code = ord(character)
        escaped = rf"(?i:\\{{1,8}}(?:u00|x){code:02x}|%{code:02x}|&\#0{{0,4}}{code};|&\#x0{{0,4}}{code:x};)"
        ways.append(rf"(?:\\{{0,8}}{re.escape(character)}|{escaped})")
    return re.compile("".join(ways))
