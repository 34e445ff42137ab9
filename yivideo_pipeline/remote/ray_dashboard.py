"""The dashboard of a Ray cluster: what Ray Serve shall run there, the nodes, and the replicas."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel

from yivideo_pipeline.errors.tree import ServiceUnreachable

if TYPE_CHECKING:
    import httpx

APPLICATION = "yivideo"
BUILDER: str = "yivideo_pipeline.service.ray_replica:build"
TOKEN_FILE = "RAY_AUTH_TOKEN_PATH"
"""Environment variable of Ray: the file with the token that all of a cluster's programs show each other."""
TIMEOUT_S = 5.0
DEPLOY_S = 120.0
"""The first deployment starts Serve's own processes, which takes 10 to 30 s."""


class ClusterNode(BaseModel):
    """A machine of the cluster, or a Ray node that stands for one."""

    id: str
    address: str
    state: str
    is_head: bool
    cpus: float
    gpus: float


class ClusterReplica(BaseModel):
    """A replica as Ray Serve sees it; a dead one has a reason."""

    id: str
    node: str
    pid: int | None
    state: str
    since: float | None
    reason: str = ""


class ScalingDecision(BaseModel):
    """A decision of the autoscaler: when, in Unix seconds, from how many replicas to how many, and why."""

    at: float
    before: int
    after: int
    reason: str


class ServeState(BaseModel):
    """What Ray Serve runs: its state and why, the replicas that are wanted, those there are, the latest dead.

    `decisions` are the latest ones of the autoscaler.
    """

    status: str
    message: str
    wanted: int
    replicas: tuple[ClusterReplica, ...]
    dead: tuple[ClusterReplica, ...]
    decisions: tuple[ScalingDecision, ...]


@dataclass(frozen=True)
class RayDashboard:
    """The dashboard at an address."""

    url: str

    def deploy(self, port: int) -> None:
        """Have Ray Serve run the replicas; does nothing where it runs them already.

        Args:
            port: The port on the head's loopback address at which they answer.

        Raises:
            ServiceUnreachable: The dashboard does not answer, or refuses.
        """
        application = {"name": APPLICATION, "route_prefix": "/", "import_path": BUILDER, "args": {}}
        config = {
            "proxy_location": "HeadOnly",
            "http_options": {"host": "127.0.0.1", "port": port},
            "applications": [application],
        }
        self._request("PUT", "/api/serve/applications/", DEPLOY_S, json=config)

    def serve_state(self) -> ServeState:
        """Return what Ray Serve runs.

        Raises:
            ServiceUnreachable: The dashboard does not answer.
        """
        application = self._request("GET", "/api/serve/applications/")["applications"].get(APPLICATION, {})
        deployments = list(application.get("deployments", {}).values())
        messages = [application.get("message", ""), *(one["message"] for one in deployments)]
        return ServeState(
            status=application.get("status", "NOT_DEPLOYED"),
            message=next(filter(None, messages), ""),
            wanted=sum(one.get("target_num_replicas") or 0 for one in deployments),
            replicas=tuple(_replica(entry) for one in deployments for entry in one["replicas"]),
            dead=tuple(_replica(entry) for one in deployments for entry in one["recent_dead_replicas"]),
            decisions=tuple(found for one in deployments for found in _decisions(one)),
        )

    def nodes(self) -> tuple[ClusterNode, ...]:
        """Return the nodes, those that have died recently too.

        Raises:
            ServiceUnreachable: The dashboard does not answer.
        """
        found = self._request("GET", "/api/v0/nodes?detail=true")["data"]["result"]["result"]
        return tuple(
            ClusterNode(
                id=node["node_id"],
                address=node["node_ip"],
                state=node["state"],
                is_head=node["is_head_node"],
                cpus=node["resources_total"].get("CPU", 0),
                gpus=node["resources_total"].get("GPU", 0),
            )
            for node in found
        )

    def _request(
        self, method: Literal["GET", "PUT"], path: str, timeout_s: float = TIMEOUT_S, **body: Any
    ) -> Any:
        import httpx

        try:
            with httpx.Client(base_url=self.url, timeout=timeout_s, trust_env=False) as client:
                answer = client.request(method, path, headers=_token(), **body)
        except httpx.HTTPError as error:
            raise ServiceUnreachable(
                f"Ray's dashboard at {self.url} does not answer ({type(error).__name__})",
                "Start it with `yivideo cluster up`",
            ) from error
        if answer.status_code != 200:
            raise ServiceUnreachable(f"Ray's dashboard answered {answer.status_code}: {_first_line(answer)}")
        return answer.json() if answer.content else None


def _token() -> dict[str, str]:
    file = os.environ.get(TOKEN_FILE)
    try:
        return {"Authorization": f"Bearer {Path(file).read_text(encoding='utf-8').strip()}"} if file else {}
    except OSError as error:
        raise ServiceUnreachable(f"{TOKEN_FILE} {file} can't be read ({error.strerror})") from error


def _first_line(answer: "httpx.Response") -> str:
    return (answer.text.strip().splitlines() or [""])[0][:200]


def _replica(entry: dict[str, Any]) -> ClusterReplica:
    return ClusterReplica(
        id=entry["replica_id"],
        node=entry.get("node_id") or "",
        pid=entry.get("pid"),
        state=entry.get("state", ""),
        since=entry.get("start_time_s"),
        reason=str(entry.get("reason") or entry.get("message") or ""),
    )


def _decisions(deployment: dict[str, Any]) -> list[ScalingDecision]:
    detail = deployment.get("autoscaling_detail") or {}
    return [
        ScalingDecision(
            at=one["timestamp_s"],
            before=one["prev_num_replicas"],
            after=one["curr_num_replicas"],
            reason=one["reason"],
        )
        for one in detail.get("decisions", [])
    ]
