"""``python -m spark_apps.serving``: one server."""

import sys

from spark_apps.serving.app import main

sys.exit(main())
