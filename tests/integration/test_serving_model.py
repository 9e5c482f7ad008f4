"""The process that fetches a model."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

from spark_apps.serving.processes import wait

if TYPE_CHECKING:
    from pathlib import Path

_SERVER = """
import sys
from pathlib import Path
from spark_apps.serving.model import Fetch
print(Fetch.begin("used-car-price", None, Path(sys.argv[1])).process.pid, flush=True)
sys.stdin.read()
"""


def test_it_ends_with_its_server(tmp_path: Path) -> None:
    """With an MLflow that is not there: it would try again and again."""
    nowhere = {"MLFLOW_TRACKING_URI": "http://127.0.0.1:1", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "9"}
    command, pipe = [sys.executable, "-c", _SERVER, str(tmp_path)], subprocess.PIPE
    with subprocess.Popen(command, env=os.environ | nowhere, stdin=pipe, stdout=pipe) as server:
        assert server.stdout
        fetching = os.pidfd_open(int(server.stdout.readline()))
        server.kill()
    ended = wait(fetching, timeout_s=20)
    if not ended:
        signal.pidfd_send_signal(fetching, signal.SIGKILL)
    os.close(fetching)
    assert ended
