"""A claim of another kind, on a prompt family that took no part in exploration."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from lakatos.tools.claim.base import Frozen
from lakatos.tools.claim.kinds import AnyParent


class Generalisation(Frozen):
    """A claim of another kind on a named prompt family of the behaviour; constants come from ordinary exploration."""

    synonyms: ClassVar[tuple[str, ...]] = ("generalization",)
    example: ClassVar[str] = "a9.h6 carries ioi/distant (denoising, logit_diff, >= 10% of gap)"

    kind: Literal["generalisation"] = "generalisation"
    parent: Annotated[AnyParent, Field(discriminator="kind")] = Field(description="the claim that is to hold there too")
    family: str = Field(min_length=1, description="a prompt family of the behaviour")

    @classmethod
    def name(cls) -> str:
        """The name of the kind."""
        return str(cls.model_fields["kind"].default)

    @property
    def tested(self) -> AnyParent:
        """The claim whose battery is run."""
        return self.parent

    def canonical_fields(self) -> dict[str, Any]:
        """The canonical form, JSON-ready, the parent's within."""
        return {"kind": self.kind, "parent": self.parent.canonical_fields(), "family": self.family}

    def generalises(self, other: Any) -> bool:
        """Whether `other` is the claim that is to hold there too."""
        return bool(self.parent == other)

    def text(self, behaviour: str) -> str:
        """The claim in one line, as `parse_claim` reads it."""
        return self.parent.text(f"{behaviour}/{self.family}")

    def title(self, behaviour: str) -> str:
        """The claim in a few words."""
        return self.parent.title(f"{behaviour}/{self.family}")

    def in_words(self, behaviour: str) -> str:
        """The claim as a sentence for people who do not know the forms above."""
        family = f"On the prompt family {self.family}, which took no part in exploration"
        return f"{family}: {self.parent.in_words(behaviour)}"
