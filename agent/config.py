"""One configuration object. The strings here are the help of `lakatos run`; defaults stand nowhere else."""

from __future__ import annotations

import re
from typing import Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from lakatos.tools.claim import DEFAULT_THRESHOLD
from lakatos.tools.errors import UserError

DEFAULT_KEY_ENV = "OPENAI_API_KEY"


def checked_address(url: str) -> str:
    """An address of http or https, without a slash at its end.

    Raises:
        ValueError: it is none, or it holds a password; the log would keep that for good.
    """
    parts = urlsplit(url)
    if parts.username or parts.password or parts.query or parts.fragment:
        raise ValueError("give the address without user, password or query; the key belongs into OPENAI_API_KEY")
    if parts.scheme not in ("http", "https") or not parts.hostname or not re.fullmatch("[!-~]+", url):
        raise ValueError("give an address like http://localhost:11434/v1, with http:// or https://")
    _ = parts.port  # raises ValueError where it is no port
    return url.rstrip("/")


class Limits(BaseModel):
    """Where a run stops by itself, and how its LLM is reached: what a resumed run may change.

    What was spent stays spent.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    max_tests: int | None = Field(None, ge=1, description="Stop after so many tested hypotheses.")
    max_pairs: int = Field(128, ge=16, description="Most confirmation pairs that one test may use (in batches of 16).")
    extend: int | None = Field(
        None, ge=16, description="Give each test that ends for want of pairs so many more, once (see `lakatos extend`)."
    )
    max_forwards: float | None = Field(None, gt=0, description="Stop after so many forward passes of one prompt.")
    max_tokens: int | None = Field(None, gt=0, description="Stop after so many LLM tokens, in and out.")
    max_seconds: float | None = Field(None, gt=0, description="Stop after so many seconds of work.")
    llm_base_url: str | None = Field(
        None, description="Any OpenAI-compatible endpoint. Default: that in OPENAI_BASE_URL, else OpenAI's own."
    )
    llm_key_env: str = Field(
        DEFAULT_KEY_ENV,
        description="The environment variable that holds the key of the LLM endpoint.",
    )
    llm_timeout: float = Field(
        120.0, gt=0, le=86_400, description="Seconds that one request to the LLM may take, from end to end."
    )
    llm_max_output: int = Field(
        16_384, ge=16, le=10**7, description="Most tokens of one answer of the LLM, its reasoning included."
    )

    @field_validator("llm_key_env")
    @classmethod
    def _is_a_name(cls, name: str) -> str:
        """The log keeps the name for good, so it must not be the key itself."""
        if not re.fullmatch("[A-Z_][A-Z0-9_]*", name):
            raise ValueError(f"give the name of a variable in capitals, like {DEFAULT_KEY_ENV}, and not the key")
        return name

    @field_validator("llm_base_url")
    @classmethod
    def _without_secrets(cls, url: str | None) -> str | None:
        """The log keeps the address for good, so it must not hold a password."""
        return url if url is None else checked_address(url)

    @classmethod
    def checked(cls, fields: dict[str, Any]) -> Self:
        """These fields as a configuration.

        Raises:
            UserError: one is unknown or out of range; names the option.
        """
        try:
            return cls.model_validate(fields)
        except ValidationError as error:
            told = "; ".join(f"--{str(e['loc'][0]).replace('_', '-')}: {e['msg']}" for e in error.errors())
            raise UserError(told) from error


class RunConfig(Limits):
    """Everything a run is told, recorded with it."""

    model: str = Field(
        "smollm2-135m",
        description="The model: smollm2-135m (built in), a Hugging Face id, a folder, or null:<any of these>.",
    )
    device: str = Field("cpu", description="The torch device: cpu, cuda, cuda:1, mps.")
    proposer: Literal["auto", "drill", "attribution", "random", "file", "llm", "mcp", "replication"] = Field(
        "auto",
        description="Where hypotheses come from: auto (llm where --llm-model names one, else drill), drill (from heads "
        "to a mechanism, stage after stage, no LLM), attribution (one table, one round), random (control arm), file, "
        "llm, mcp (an agent of yours that calls tools: see `lakatos mcp`), replication (what this study confirmed, on "
        "other prompt families).",
    )
    hypotheses: int = Field(
        16,
        ge=1,
        le=200,
        description="How many hypotheses to propose: in a round; by drill, an exploring LLM or mcp, in all rounds "
        "together.",
    )
    rounds: int | None = Field(
        None,
        ge=1,
        le=50,
        description="How often to propose; a proposer sees the verdicts of the rounds before. Default: what it needs, "
        "which is 1, and 5 for drill.",
    )
    threshold: float = Field(
        DEFAULT_THRESHOLD,
        gt=0,
        le=2,
        description="Smallest effect of interest of proposed claims, as a fraction of the gap.",
    )
    seed: int | None = Field(
        None,
        description="Seed of the run. With a new database it also fixes the database's secret, so that the run can be "
        "reproduced, and predicted by whoever knows the seed. Drawn at random if not given.",
    )
    attribution_pairs: int = Field(24, ge=1, le=1000, description="Exploration pairs behind the attribution tables.")
    claims: str | None = Field(None, description="YAML file with hypotheses, for --proposer file.")
    approve: bool = Field(
        False,
        description="Ask a person before registering: keep, edit, drop, add; at the terminal, or on the review site.",
    )
    allow_absent: bool = Field(False, description="Go on although the model does not show the behaviour.")
    llm_model: str | None = Field(None, description="Model name at the LLM endpoint, for --proposer llm.")
    llm_style: Literal["tools", "form", "prompt"] = Field(
        "tools",
        description="How the LLM is asked: tools (it explores by calling tools), form (narrow questions one at a time, "
        "for small models), prompt (one prompt a round with all tables).",
    )
    llm_without: str | None = Field(
        None,
        description="Tools that an exploring LLM is not offered, separated by commas, to see what they are worth.",
    )
    llm_turns: int = Field(
        60, ge=1, le=1000, description="Most answers of an exploring LLM in a run, of each investigator."
    )
    llm_rows: int = Field(60, ge=5, le=500, description="Most rows of a table that a tool shows to an LLM.")
    llm_context: int = Field(
        24_000,
        ge=4_000,
        description="Tokens of a conversation, its tools included, from which on an exploring LLM begins a new one, "
        "with its notes. Stay below the context that the server gives.",
    )
    investigators: int = Field(
        1,
        ge=1,
        le=8,
        description="How many LLM investigators explore one after another, each with its own notes; after several, a "
        "critic argues against what they confirmed.",
    )
    llm_price_in: float | None = Field(
        None, ge=0, description="Price of a million tokens sent to the LLM, for the record of what a run cost."
    )
    llm_price_out: float | None = Field(None, ge=0, description="Price of a million tokens that the LLM returns.")
    llm_temperature: float | None = Field(None, ge=0, le=2, description="Sent to the LLM where given.")
    llm_seed: int | None = Field(
        None, ge=0, lt=2**63, description="Sent to the LLM where given, for servers that can repeat an answer."
    )
    llm_cache: bool = Field(
        False,
        description="Keep the LLM's answers beside the database by exact request, and use them again: a re-run is "
        "free, and says the same.",
    )
    llm_reasoning_effort: str | None = Field(
        None, pattern="^[a-z]{1,20}$", description="Sent to the LLM where given: low, medium, high, ..."
    )
