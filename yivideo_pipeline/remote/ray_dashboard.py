"""The dashboard of a Ray cluster: what Ray Serve shall run there, the nodes, and the replicas."""

import logging
import os
import re
from dataclasses import dataclass
from datetime import datetime
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
LOG_LINES = 500
EVENTS = 20
_EVENT = re.compile(
    r"\w+ (?P<at>[-\d]+ [:\d]+,\d{3}) controller \d+ -- "
    r"(?P<text>(Up|Down)scaling .*|Actor for Replica.* crashed.*|Health check for Replica.*)"
)
TIMEOUT_S = 5.0
DEPLOY_S = 60.0
"""The first deployment starts Serve's own processes, which takes 10 to 30 s."""

log = logging.getLogger(__name__)


class ClusterNode(BaseModel):
    """A machine of the cluster, or a Ray node that stands for one."""

    id: str
    address: str
    state: str
    is_head: bool
    cpus: float
    gpus: float


class ClusterReplica(BaseModel):
    """A replica as Ray Serve sees it."""

    id: str
    node: str
    pid: int | None
    state: str
    since: float | None


class ClusterEvent(BaseModel):
    """A line of Ray Serve's log: a replica that ended, or a decision of the autoscaler with its reason."""

    at: datetime
    text: str


class ServeState(BaseModel):
    """What Ray Serve runs: its state and why, how many replicas are wanted, and those that there are.

    `events` has the latest ones, the newest last.
    """

    status: str
    message: str
    wanted: int
    replicas: tuple[ClusterReplica, ...]
    events: tuple[ClusterEvent, ...] = ()


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

    def serve_state(self, with_events: bool = False) -> ServeState:
        """Return what Ray Serve runs.

        Raises:
            ServiceUnreachable: The dashboard does not answer.
        """
        found = self._request("GET", "/api/serve/applications/").json()
        application = found["applications"].get(APPLICATION, {})
        deployments = list(application.get("deployments", {}).values())
        messages = [application.get("message", ""), *(one["message"] for one in deployments)]
        return ServeState(
            status=application.get("status", "NOT_DEPLOYED"),
            message=next(filter(None, messages), ""),
            wanted=sum(one.get("target_num_replicas") or 0 for one in deployments),
            replicas=tuple(_replica(entry) for one in deployments for entry in one["replicas"]),
            events=self._events(found["controller_info"]) if with_events else (),
        )

    def nodes(self) -> tuple[ClusterNode, ...]:
        """Return the nodes, those that have died recently too.

        Raises:
            ServiceUnreachable: The dashboard does not answer.
        """
        found = self._request("GET", "/api/v0/nodes?detail=true").json()["data"]["result"]["result"]
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

    def _events(self, controller: dict[str, Any]) -> tuple[ClusterEvent, ...]:
        """Return the latest events of Serve's controller, which tells its reasons in its log alone.

        There are none while the log can't be read, since the node that has it is gone: the state counts more.
        """
        if not controller:
            return ()
        file = {"node_id": controller["node_id"], "filename": controller["log_file_path"].lstrip("/")}
        try:
            text = self._request("GET", "/api/v0/logs/file", params={**file, "lines": LOG_LINES}).text
        except ServiceUnreachable as error:
            log.debug("The events of Ray Serve can't be read: %s", error)
            return ()
        found = [_EVENT.match(line) for line in text.splitlines()]
        return tuple(
            ClusterEvent(at=datetime.fromisoformat(f"{one['at']}000").astimezone(), text=_plain(one["text"]))
            for one in found
            if one
        )[-EVENTS:]

    def _request(
        self, method: Literal["GET", "PUT"], path: str, timeout_s: float = TIMEOUT_S, **body: Any
    ) -> "httpx.Response":
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
        return answer


def _token() -> dict[str, str]:
    file = os.environ.get(TOKEN_FILE)
    try:
        return {"Authorization": f"Bearer {Path(file).read_text(encoding='utf-8').strip()}"} if file else {}
    except OSError as error:
        raise ServiceUnreachable(f"{TOKEN_FILE} {file} can't be read ({error.strerror})") from error


def _first_line(answer: "httpx.Response") -> str:
    return (answer.text.strip().splitlines() or [""])[0][:200]


def _plain(text: str) -> str:
    """Return a line of Serve's log without its notation."""
    text = re.sub(r"(?:Actor for )?Replica\(id='(\w+)'[^)]*\)", r"Replica \1", text)
    return re.sub(r" Deployment\([^)]*\)| for deployment \S+", "", text)


def _replica(entry: dict[str, Any]) -> ClusterReplica:
    return ClusterReplica(
        id=entry["replica_id"],
        node=entry.get("node_id") or "",
        pid=entry.get("pid"),
        state=entry.get("state", ""),
        since=entry.get("start_time_s"),
    )
