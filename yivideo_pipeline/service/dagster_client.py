"""Dagster as the service sees it: questions and orders over GraphQL, to its webserver."""

import logging
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from yivideo_pipeline.errors.tree import ServiceUnreachable

if TYPE_CHECKING:
    from dagster_graphql import DagsterGraphQLClient
    from gql.transport.requests import RequestsHTTPTransport

log = logging.getLogger(__name__)

LOCATION = "yivideo_pipeline"
REPOSITORY = "__repository__"
JOB = "process_video"
VIDEOS = "videos"
"""Names of the pipeline in Dagster; a test holds them against the pipeline's own."""
TIMEOUT_S = 60

_ADD_VIDEO = """
mutation ($where: RepositorySelector!, $videos: String!, $key: String!) {
  addDynamicPartition(repositorySelector: $where, partitionsDefName: $videos, partitionKey: $key) {
    __typename
  }
}"""
_LAUNCH_AGAIN = """
mutation ($run: ReexecutionParams!) {
  launchRunReexecution(reexecutionParams: $run) {
    __typename
    ... on LaunchRunSuccess { run { runId } }
    ... on Error { message }
  }
}"""


class Dagster:
    """The webserver at an address; nothing is asked or imported before the first call.

    Args:
        url: Its address, without `/graphql`.

    Every method raises `ServiceUnreachable` where Dagster does not answer, or does not do what is asked.
    """

    def __init__(self, url: str) -> None:
        self._url = url

    def ask(self, query: str, variables: Mapping[str, Any]) -> dict[str, Any]:
        """Return what a GraphQL document is answered, for all that Dagster's client has no method for."""
        from gql import Client, gql

        with _in_plain_words():
            return Client(transport=self._transport()).execute(gql(query), variable_values=dict(variables))

    def add_video(self, key: str) -> None:
        """Register a video's partition; one that is there already stays."""
        where = {"repositoryLocationName": LOCATION, "repositoryName": REPOSITORY}
        told = self.ask(_ADD_VIDEO, {"where": where, "videos": VIDEOS, "key": key})["addDynamicPartition"]
        if told["__typename"] not in ("AddDynamicPartitionSuccess", "DuplicateDynamicPartitionError"):
            raise refusal(told["__typename"])

    def launch(
        self, key: str, stages: Sequence[str], run_config: Mapping[str, Any], tags: Mapping[str, str]
    ) -> str:
        """Launch one run that makes these stages of a registered video; returns its id."""
        with _in_plain_words():
            return self._client().submit_job_execution(
                JOB,
                repository_location_name=LOCATION,
                repository_name=REPOSITORY,
                run_config=dict(run_config),
                tags={**tags, "dagster/partition": key},
                asset_selection=list(stages),
            )

    def launch_again(self, run_id: str, *, from_failure: bool) -> str:
        """Launch an ended run again, as a whole or without the steps that it finished; returns the new id."""
        strategy = "FROM_FAILURE" if from_failure else "ALL_STEPS"
        wanted = {"parentRunId": run_id, "strategy": strategy, "useParentRunTags": True}
        told = self.ask(_LAUNCH_AGAIN, {"run": wanted})["launchRunReexecution"]
        if told["__typename"] != "LaunchRunSuccess":
            raise refusal(told["__typename"], told.get("message", ""))
        return told["run"]["runId"]

    def cancel(self, run_id: str) -> bool:
        """Take a run out of the queue, or tell its process to stop; False where it can't be done now."""
        from dagster_graphql import DagsterGraphQLClientError

        with _in_plain_words():
            try:
                self._client().terminate_run(run_id)
            except DagsterGraphQLClientError as error:
                if error.args[0] != "TerminateRunFailure":
                    raise
                return False
            return True

    def _client(self) -> "DagsterGraphQLClient":
        from dagster_graphql import DagsterGraphQLClient

        # One a call: it can't be used by two threads at once.
        return DagsterGraphQLClient("", transport=self._transport())

    def _transport(self) -> "RequestsHTTPTransport":
        from gql.transport.requests import RequestsHTTPTransport
        from gql.transport.requests import log as talk

        talk.setLevel(logging.WARNING)  # else each question and answer stands in the log
        return RequestsHTTPTransport(f"{self._url}/graphql", timeout=TIMEOUT_S)


@contextmanager
def _in_plain_words() -> Generator[None]:
    from dagster_graphql import DagsterGraphQLClientError
    from gql.transport.exceptions import TransportError, TransportQueryError
    from requests import RequestException

    try:
        yield
    except DagsterGraphQLClientError as error:
        # What its client does not expect of the connection it wraps as a cause.
        cause = error.__cause__
        if isinstance(cause, (RequestException, TransportError)) and not isinstance(
            cause, TransportQueryError
        ):
            raise _silence() from error
        raise refusal(str(error.args[0]).partition("\n")[0], str(cause or error)) from error
    except TransportQueryError as error:
        raise refusal("it does not know the question", str(error)) from error
    except (RequestException, TransportError) as error:
        raise _silence() from error


def _silence() -> ServiceUnreachable:
    return ServiceUnreachable(
        "Dagster does not answer", "Start it (`yivideo up`), or correct service.dagster_url of the settings"
    )


def refusal(reason: str, details: str = "") -> ServiceUnreachable:
    """Return the error of what Dagster did not do; its own words may name files, and are in the log alone."""
    log.error("Dagster refused: %s %s", reason, details)
    return ServiceUnreachable(
        f"Dagster did not do it ({reason})", "See whether its UI shows the pipeline's code location as loaded"
    )
