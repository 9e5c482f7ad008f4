import json
import math
from typing import Any

from spark_apps.training.trees import parse


def split(condition: float, yes: dict[str, Any], no: dict[str, Any], feature: int = 0) -> str:
    return json.dumps(
        {
            "nodeid": 0,
            "split": f"f{feature}",
            "split_condition": condition,
            "yes": 1,
            "no": 2,
            "gain": 6.0,
            "cover": 3.0,
            "children": [yes, no],
        }
    )


def end(nodeid: int, value: float) -> dict[str, Any]:
    return {"nodeid": nodeid, "leaf": value, "cover": 1.0}


def test_a_threshold_becomes_the_largest_double_below_it() -> None:
    root, left, right = parse(split(2.5, end(1, -1.0), end(2, 1.0)))

    assert root.left_values == (math.nextafter(2.5, -math.inf),)
    assert (left.prediction, right.prediction) == (-1.0, 1.0)
    assert (root.left, root.right, root.arity) == (1, 2, -1)
