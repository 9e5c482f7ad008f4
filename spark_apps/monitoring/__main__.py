"""Runs the monitoring application: ``python -m spark_apps.monitoring``."""

import sys

from spark_apps.monitoring.app import main

if __name__ == "__main__":
    sys.exit(main())
