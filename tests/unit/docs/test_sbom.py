from __future__ import annotations

import json
from pathlib import Path

from docs.generate import sbom

LOCK = """\
# This file was made by make lock
confluent-kafka==2.16.1 \\
    --hash=sha256:{a} \\
    --hash=sha256:{b}
    # via car-price-pipelines (pyproject.toml)
numpy==2.4.6 ; python_full_version < '3.12' \\
    --hash=sha256:{a}
numpy==2.5.5 ; python_full_version >= '3.12' \\
    --hash=sha256:{b}
""".format(a="a" * 64, b="b" * 64)


def test_a_lock_is_read_with_its_hashes_and_its_versions_by_python():
    assert sbom.pinned(LOCK) == [
        sbom.Pinned("confluent-kafka", "2.16.1", ("a" * 64, "b" * 64)),
        sbom.Pinned("numpy", "2.4.6", ("a" * 64,)),
        sbom.Pinned("numpy", "2.5.5", ("b" * 64,)),
    ]


def test_every_package_of_the_lock_is_in_the_bill_once_with_a_hash():
    packages = sbom.pinned(sbom.LOCK.read_text("utf-8"))
    lines = [
        line for line in sbom.LOCK.read_text("utf-8").splitlines() if "==" in line and line[0] not in " #"
    ]
    assert len(packages) == len(lines) > 100
    assert all(one.hashes for one in packages)
    references = [component["bom-ref"] for component in sbom.bill(packages, [])["components"]]
    assert len(set(references)) == len(references)


def test_what_the_project_needs_is_in_the_bill():
    bill = sbom.bill(sbom.pinned(sbom.LOCK.read_text("utf-8")), [])
    references = {component["bom-ref"] for component in bill["components"]}
    root, *others = bill["dependencies"]
    assert root["ref"] == bill["metadata"]["component"]["bom-ref"]
    assert any(ref.startswith("pkg:pypi/pyspark@") for ref in root["dependsOn"])
    assert all(set(one["dependsOn"]) <= references for one in [root, *others])


def test_a_jar_is_told_by_its_path_and_its_bytes(tmp_path):
    jar = (
        tmp_path
        / "repository"
        / "org"
        / "apache"
        / "kafka"
        / "kafka-clients"
        / "4.3.1"
        / "kafka-clients-4.3.1.jar"
    )
    jar.parent.mkdir(parents=True)
    jar.write_bytes(b"jar")
    [component] = sbom.bill([], [jar, jar])["components"]
    assert component["purl"] == "pkg:maven/org.apache.kafka/kafka-clients@4.3.1"
    assert component["group"] == "org.apache.kafka"
    assert len(component["hashes"][0]["content"]) == 64
    assert str(tmp_path) not in json.dumps(component)


def test_the_same_lock_gives_the_same_bill():
    assert sbom.bill(sbom.pinned(LOCK), []) == sbom.bill(sbom.pinned(LOCK), [])
    assert isinstance(sbom.LOCK, Path)
