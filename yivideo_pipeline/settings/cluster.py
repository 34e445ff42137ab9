"""The section `cluster` of config.yml: the replicas that hold the models, and what starts them."""

from typing import Self

from pydantic import Field, model_validator

from yivideo_pipeline.settings.sections import Section, Url


class ClusterSettings(Section):
    """`yivideo cluster`: models in replicas of Ray Serve, on one machine or several."""

    replicas_url: Url | None = Field(
        None, description="Address of replicas that have the models; null: the service holds the model itself"
    )
    dashboard_url: Url = Field("http://127.0.0.1:8265", description="Address of Ray's dashboard")
    host: str = Field(
        "127.0.0.1", description="Address at which other machines reach Ray, which has no login"
    )
    head_port: int = Field(6379, ge=1, le=65_535, description="Port that the other machines join at")
    replicas_port: int = Field(8000, ge=1, le=65_535, description="Port of the replicas, on the head alone")
    nodes: int = Field(0, ge=0, le=64, description="Ray nodes to start on this machine beside the head")
    min_replicas: int = Field(1, ge=1, le=1000, description="Replicas that are kept when nothing is to do")
    max_replicas: int = Field(1, ge=1, le=1000, description="Replicas at most")
    requests_per_replica: int = Field(
        4,
        ge=1,
        le=64,
        description="Requests that a replica should have; for more of them replicas are added",
    )
    gpus_per_replica: float = Field(
        0, ge=0, le=8, description="GPUs of a replica: 1, or 0.5 where two share one; 0: it runs on the CPU"
    )
    cpus_per_replica: float = Field(1, gt=0, le=256, description="Cores of a replica")

    @model_validator(mode="after")
    def _bounds_are_in_order(self) -> Self:
        if self.max_replicas < self.min_replicas:
            raise ValueError(
                f"max_replicas {self.max_replicas} is less than min_replicas {self.min_replicas}: raise it"
            )
        return self
