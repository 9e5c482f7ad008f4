from __future__ import annotations

from control_plane.exporter.offsets import Offsets
from tests.unit.exporter.exposition import series


def test_records_are_counted_by_topic_and_lag_by_partition():
    ends = {("listings", 0): 70, ("listings", 1): 30, ("predictions", 0): 60, ("metrics", 0): 5}
    assert series(Offsets(ends, {0: 2, 1: 0}).collect()) == {
        'topic_records_total{topic="listings"}': 100,
        'topic_records_total{topic="predictions"}': 60,
        'topic_records_total{topic="metrics"}': 5,
        'serving_lag_records{partition="0"}': 2,
        'serving_lag_records{partition="1"}': 0,
    }


def test_the_partitions_of_a_topic_are_known():
    offsets = Offsets({("listings", 0): 1, ("listings", 1): 1, ("predictions", 0): 1}, {})
    assert (offsets.partitions("listings"), offsets.partitions("nothing")) == ({0, 1}, set())
