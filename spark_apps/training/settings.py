"""What a training may be told, from the environment (``TRAINING_…``)."""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class TrainingSettings(BaseSettings):
    """How much is taken for a training, and how it is validated."""

    model_config = SettingsConfigDict(env_prefix="training_")

    cores: int = Field(2, ge=1, description="threads of a local Spark")
    memory: str = Field("1200m", pattern=r"^\d+[mg]$", description="heap of the driver's JVM")
    java_options: str = Field(
        "-XX:Tier4InvocationThreshold=50000 -XX:Tier4MinInvocationThreshold=6000 "
        "-XX:Tier4CompileThreshold=150000 -XX:Tier4BackEdgeThreshold=400000",
        description="unless given, the second compiler begins ten times later: few trainings are long",
    )
    parallelism: int = Field(3, ge=1, description="fits that run at the same time")
    cumulative: bool = Field(True, description="go on from the newest registered model's train set")
    model_name: str = Field("used-car-price", min_length=1, description="the registered model")
    experiment: str = Field("used-car-price", min_length=1, description="of MLflow, for the runs")

    boosting: Literal["xgboost", "spark"] = Field("xgboost", description="which gradient boosting to fit")
    boosting_rounds: int = Field(1_000, ge=1, description="at most; early stopping chooses fewer")
    boosting_nodes: int = Field(66_000, ge=100, description="of all trees together, at most")
    boosting_rows: int = Field(
        1_000_000, ge=1_000, description="that XGBoost is fitted on, at most; each takes 2 kB beside the heap"
    )
    svm_rows: int = Field(50_000, ge=100, description="that a plane by support vectors is fitted on, at most")

    folds: int = Field(5, ge=2, description="of the cross-validation")
    grid: int = Field(4, ge=1, description="settings of a member to choose from, at most")
    test_share: float = Field(0.15, gt=0, lt=1, description="of the cars, never trained on")
    confidence: float = Field(0.9, gt=0, lt=1, description="share of prices that low to high should hold")
    price_min: float = Field(500, ge=0, description="dollars; a cheaper listing is dropped")
    price_max: float = Field(250_000, gt=0, description="dollars; a dearer listing is dropped")
    label_rows: int = Field(5, ge=1, description="rows that a category's value needs for a label of its own")
    labels: int = Field(500, ge=1, description="labels of one category, at most")
    model_rows: int = Field(1, ge=1, description="rows that a make or model needs for a label of its own")
    models: int = Field(2_000, ge=1, description="makes, and models, with labels, at most")
    variant_rows: int = Field(3, ge=1, description="rows that a variant needs for a rank of its own")
    variants: int = Field(20_000, ge=1, description="variants with a rank, at most")
    rows_at_most: int = Field(4_000_000, ge=100, description="of all batches; the oldest leave first")
    rows_at_least: int = Field(100, ge=10, description="usable rows without which there is no training")


class GateSettings(BaseSettings):
    """How unlike the last accepted batch one may be. Shares are of 1; chance is allowed for besides."""

    model_config = SettingsConfigDict(env_prefix="training_gate_")

    quarantined: float = Field(0.2, ge=0, le=1, description="share of the rows of the very first batch")
    dropped: float = Field(0.5, ge=0, le=1, description="share of the rows of the very first batch")
    more_dropped: float = Field(0.1, ge=0, le=1, description="more of the rows, by any one rule")
    more_missing: float = Field(0.3, ge=0, le=1, description="more of a column's values")
    more_unseen: float = Field(
        0.3, ge=0, le=1, description="more of a column's values than are to be expected never seen before"
    )
    middle: float = Field(
        1.0, ge=0, description="how far the 10 to 90 % quantiles may move, by the last batch's middle half"
    )
    ends: float = Field(2, ge=0, description="how far the 1 and 99 % quantiles may move, by the same measure")
    sigmas: float = Field(4, ge=0, description="of chance")
