"""What all sections of a manifest share."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["Probability", "Section"]

Probability = Annotated[float, Field(ge=0, le=1)]


class Section(BaseModel):
    """A table of a manifest; unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)
