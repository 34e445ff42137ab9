"""Dagster as the service reaches it: queries and mutations over GraphQL to its webserver."""

import logging
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from yivideo_pipeline.errors.tree import ServiceUnreachable
from yivideo_pipeline.stages import BY_HAND_TAGS, JOB, LOCATION, PARTITION_TAG, VIDEOS

if TYPE_CHECKING:
    from dagster_graphql import DagsterGraphQLClient
    from gql.transport.requests import RequestsHTTPTransport

log = logging.getLogger(__name__)

REPOSITORY = "__repository__"
"""Dagster's name for the one repository of a code location."""
TIMEOUT_S = 60
SOON_S = 0.5

_ADD_PARTITION = """
mutation ($repository: RepositorySelector!, $partitions: String!, $key: String!) {
  addDynamicPartition(repositorySelector: $repository, partitionsDefName: $partitions, partitionKey: $key) {
    __typename
  }
}"""
_BACKFILL = """
mutation ($params: LaunchBackfillParams!) {
  launchPartitionBackfill(backfillParams: $params) { __typename ... on Error { message } }
}"""
_REEXECUTE = """
mutation ($params: ReexecutionParams!) {
  launchRunReexecution(reexecutionParams: $params) {
    __typename
    ... on LaunchRunSuccess { run { runId } }
    ... on Error { message }
  }
}"""


class DagsterClient:
    """A client of Dagster's webserver; it imports and sends nothing before the first call.

    Args:
        url: The webserver's address, without `/graphql`.

    Every method raises `ServiceUnreachable` where Dagster does not answer or refuses.
    """

    def __init__(self, url: str) -> None:
        self._url = url

    def query(self, document: str, variables: Mapping[str, Any]) -> dict[str, Any]:
        """Return the data of a GraphQL document, for all that Dagster's client has no method for."""
        from gql import Client, gql

        with _translate_errors():
            return Client(transport=self._transport()).execute(gql(document), variable_values=dict(variables))

    def answers(self) -> bool:
        """Return whether Dagster answers at once: a page says so, and does not wait for it."""
        import httpx

        try:
            return httpx.get(f"{self._url}/server_info", timeout=SOON_S, trust_env=False).is_success
        except httpx.HTTPError:
            return False

    def add_video(self, key: str) -> None:
        """Register a video's partition; one that exists stays."""
        repository = {"repositoryLocationName": LOCATION, "repositoryName": REPOSITORY}
        variables = {"repository": repository, "partitions": VIDEOS, "key": key}
        result = self.query(_ADD_PARTITION, variables)["addDynamicPartition"]
        if result["__typename"] not in ("AddDynamicPartitionSuccess", "DuplicateDynamicPartitionError"):
            raise dagster_error(result["__typename"])

    def launch(
        self, key: str, stages: Sequence[str], run_config: Mapping[str, Any], tags: Mapping[str, str]
    ) -> str:
        """Launch one run that makes these stages of a registered video; returns its id."""
        with _translate_errors():
            return self._client().submit_job_execution(
                JOB,
                repository_location_name=LOCATION,
                repository_name=REPOSITORY,
                run_config=dict(run_config),
                tags={**tags, PARTITION_TAG: key},
                asset_selection=list(stages),
            )

    def launch_many(self, keys: Sequence[str], stages: Sequence[str], title: str) -> None:
        """Launch a backfill that makes these stages of registered videos, in runs which they share."""
        params = {
            "partitionNames": list(keys),
            "assetSelection": [{"path": [stage]} for stage in stages],
            "tags": [{"key": key, "value": value} for key, value in BY_HAND_TAGS.items()],
            "title": title,
        }
        result = self.query(_BACKFILL, {"params": params})["launchPartitionBackfill"]
        if result["__typename"] != "LaunchBackfillSuccess":
            raise dagster_error(result["__typename"], result.get("message", ""))

    def reexecute(self, run_id: str, *, from_failure: bool) -> str:
        """Launch an ended run again, as a whole or without the steps that succeeded; returns the new id."""
        strategy = "FROM_FAILURE" if from_failure else "ALL_STEPS"
        params = {"parentRunId": run_id, "strategy": strategy, "useParentRunTags": True}
        result = self.query(_REEXECUTE, {"params": params})["launchRunReexecution"]
        if result["__typename"] != "LaunchRunSuccess":
            raise dagster_error(result["__typename"], result.get("message", ""))
        return result["run"]["runId"]

    def terminate(self, run_id: str) -> bool:
        """Remove a run from the queue, or stop its process; returns False where that is impossible now."""
        from dagster_graphql import DagsterGraphQLClientError

        with _translate_errors():
            try:
                self._client().terminate_run(run_id)
            except DagsterGraphQLClientError as error:
                if error.args[0] != "TerminateRunFailure":
                    raise
                return False
            return True

    def _client(self) -> "DagsterGraphQLClient":
        from dagster_graphql import DagsterGraphQLClient

        # One per call, since two threads can't use it at once.
        return DagsterGraphQLClient("", transport=self._transport())

    def _transport(self) -> "RequestsHTTPTransport":
        from gql.transport.requests import RequestsHTTPTransport
        from gql.transport.requests import log as transport_log

        transport_log.setLevel(logging.WARNING)  # otherwise it logs every request and response
        return RequestsHTTPTransport(f"{self._url}/graphql", timeout=TIMEOUT_S)


def dagster_error(reason: str, details: str = "") -> ServiceUnreachable:
    """Return the error of a refusal by Dagster; its details may name files, so they are only logged."""
    log.error("Dagster refused: %s %s", reason, details)
    return ServiceUnreachable(
        f"Dagster did not do it ({reason})", "See whether its UI shows the pipeline's code location as loaded"
    )


@contextmanager
def _translate_errors() -> Generator[None]:
    """Raise `ServiceUnreachable` in place of the errors of Dagster's client."""
    from dagster_graphql import DagsterGraphQLClientError
    from gql.transport.exceptions import TransportError, TransportQueryError
    from requests import RequestException

    try:
        yield
    except DagsterGraphQLClientError as error:
        # The client wraps unforeseen errors of the connection as a cause.
        cause = error.__cause__
        if isinstance(cause, (RequestException, TransportError)) and not isinstance(
            cause, TransportQueryError
        ):
            raise _no_answer() from error
        raise dagster_error(str(error.args[0]).partition("\n")[0], str(cause or error)) from error
    except TransportQueryError as error:
        raise dagster_error("it does not know the query", str(error)) from error
    except (RequestException, TransportError) as error:
        raise _no_answer() from error


def _no_answer() -> ServiceUnreachable:
    return ServiceUnreachable(
        "Dagster does not answer", "Start it (`yivideo up`), or correct service.dagster_url of the settings"
    )
