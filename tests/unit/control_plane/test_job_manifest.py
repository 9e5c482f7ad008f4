from __future__ import annotations

from control_plane.events import TrainingStarted
from control_plane.launchers.kubernetes import job_manifest

TEMPLATE = {
    "metadata": {"labels": {"app": "training"}},
    "spec": {
        "ttlSecondsAfterFinished": 60,
        "template": {
            "spec": {
                "containers": [{"name": "training", "image": "i:1", "env": [{"name": "A", "value": "1"}]}]
            }
        },
    },
}


def test_a_job_is_its_template_told_what_to_train_on():
    job = job_manifest(TrainingStarted(batch="b1", attempt=2), TEMPLATE, 90.4)
    assert job["metadata"] == {
        "labels": {"app": "training"},
        "name": "train-b1-2",
        "annotations": {"pipelines/batch": "b1"},
    }
    assert job["spec"]["activeDeadlineSeconds"] == 90
    assert job["spec"]["backoffLimit"] == 0
    assert job["spec"]["ttlSecondsAfterFinished"] == 60
    assert job["spec"]["template"]["spec"]["containers"][0]["env"] == [
        {"name": "BATCH", "value": "b1"},
        {"name": "ATTEMPT", "value": "2"},
        {"name": "ACCEPT_PROFILE", "value": "false"},
        {"name": "IMAGE", "value": "i:1"},
        {"name": "A", "value": "1"},
    ]


def test_a_job_is_told_to_accept_the_profile():
    accepting = TrainingStarted(batch="b1", attempt=2, first_attempt=2, accept_profile=True)
    environment = job_manifest(accepting, TEMPLATE, 90)["spec"]["template"]["spec"]["containers"][0]["env"]
    assert {"name": "ACCEPT_PROFILE", "value": "true"} in environment


def test_the_template_itself_stays_as_it_is():
    job_manifest(TrainingStarted(batch="b1", attempt=1), TEMPLATE, 90)
    assert "name" not in TEMPLATE["metadata"]


def test_what_kubernetes_would_expand_in_a_batchs_name_is_escaped():
    job = job_manifest(TrainingStarted(batch="$(HOME)", attempt=1), TEMPLATE, 90)
    assert job["spec"]["template"]["spec"]["containers"][0]["env"][0]["value"] == "$$(HOME)"
