"""One mapping of a `mainstay.yaml`."""

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """One mapping of the file: frozen, and refusing keys that it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True, allow_inf_nan=False)
