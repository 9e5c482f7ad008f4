"""A training that takes no time: registers a version of nothing, or fails, as the batch's name says.

Real in all that the control plane sees of a job: a process, its end, its reason and its model in MLflow.
"""

import argparse
import os
import sys
import time
from pathlib import Path

import requests

from control_plane.failures import Failure, Finding, RefusedProfile

PROFILE = RefusedProfile(
    rows=100, findings=(Finding(what="share of mileage missing", was=0.02, now=0.98, bound=0.17),)
)


def register(job: str, batch: str) -> None:
    api = f"{os.environ['MLFLOW_TRACKING_URI']}/api/2.0/mlflow"
    requests.post(f"{api}/registered-models/create", json={"name": "used-car-price"}, timeout=30)
    run = requests.post(f"{api}/runs/create", json={"experiment_id": "0"}, timeout=30).json()["run"]["info"]
    tags = {"pipelines.job": job, "pipelines.batches": batch, "pipelines.digest": "0" * 64}
    version = {
        "name": "used-car-price",
        "source": f"{run['artifact_uri']}/model",
        "run_id": run["run_id"],
        "tags": [{"key": key, "value": value} for key, value in tags.items()],
    }
    requests.post(f"{api}/model-versions/create", json=version, timeout=30).raise_for_status()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--batch", required=True)
    parser.add_argument("--attempt", type=int, required=True)
    parser.add_argument("--accept-profile", choices=("true", "false"), default="false")
    parser.add_argument("--starts", type=Path, help="a file that gets a line for each start")
    parser.add_argument("--seconds", type=float, default=0)
    parser.add_argument("--wait-for", type=Path, help="a file; batches that are called slow wait for it")
    arguments = parser.parse_args()
    if arguments.starts:
        with arguments.starts.open("a") as starts:
            starts.write(f"{arguments.batch}\t{arguments.attempt}\t{os.getpid()}\n")
    time.sleep(arguments.seconds)
    while arguments.batch.startswith("slow") and not arguments.wait_for.exists():
        time.sleep(0.05)
    if arguments.batch.startswith("broken"):
        Path(os.environ["TERMINATION_MESSAGE_PATH"]).write_text("every row is without a price")
        sys.exit(1)
    if arguments.batch.startswith("unlike") and arguments.accept_profile == "false":
        refused = Failure(reason="beyond the bounds", final=True, profile=PROFILE)
        Path(os.environ["TERMINATION_MESSAGE_PATH"]).write_text(refused.message())
        sys.exit(1)
    if arguments.batch.startswith("flaky") and arguments.attempt == 1:
        sys.exit(3)
    register(f"train-{arguments.batch}-{arguments.attempt}", arguments.batch)


if __name__ == "__main__":
    main()
