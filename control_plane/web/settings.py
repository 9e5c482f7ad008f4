"""The page's settings, from the environment."""

from __future__ import annotations

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class Web(BaseSettings):
    """Where the page is, who may ask for it, and how much it remembers."""

    model_config = SettingsConfigDict(env_prefix="web_")

    host: str = Field("127.0.0.1", min_length=1, description="the address to listen at")
    port: int | None = Field(
        None, ge=1, le=65535, description="that of the last time or any free one unless given"
    )
    allowed_hosts: list[str] = Field(
        ["127.0.0.1", "localhost"],
        min_length=1,
        description="the names by which browsers may ask for the page, as a JSON list; * is any",
    )
    history_s: float = Field(6 * 3600, gt=0, description="how far back the live errors go")
    explainer_idle_s: float = Field(
        300, gt=0, description="how long the process that explains prices is kept for the next one"
    )
