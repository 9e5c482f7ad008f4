"""``python -m control_plane.cli`` is ``pipelines``."""

from control_plane.cli import main

main()
