"""The model card: what a version is, how good it is and where it came from, for the people who look it up."""

from __future__ import annotations

from typing import TYPE_CHECKING

from spark_apps.training.rows import TEST
from spark_apps.training.stacking import STACK

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from spark_apps.training.ensemble import Ensemble
    from spark_apps.training.evaluation import Evaluation
    from spark_apps.training.settings import TrainingSettings

_TOP = 10


def model_card(
    ensemble: Ensemble,
    evaluated: Evaluation,
    settings: TrainingSettings,
    counts: Mapping[str, int],
    tags: Mapping[str, str],
) -> str:
    """Return the card as markdown.

    ``counts`` are the data's own numbers (``rows.…``), ``tags`` those of the registered version.
    """
    sections = (
        _what_it_is(ensemble, settings),
        "## How good it is",
        f"On {counts['rows.test']:,} cars that it was never trained on:",
        _errors(ensemble, evaluated),
        f"The interval holds {evaluated.coverage:.1%} of them; mean width {_dollars(evaluated.width)}.",
        "## What it was trained on",
        _rows(counts, tags),
        "## What was chosen",
        _settings(ensemble, settings),
        *(["## What moves the price", _importances(shares)] if (shares := ensemble.importances()) else []),
        "## What it is not for",
        _limits(settings),
        "## Where it came from",
        _table(("what", "which"), [(f"`{name}`", f"`{value}`") for name, value in sorted(tags.items())]),
    )
    return "\n\n".join(sections) + "\n"


def _what_it_is(ensemble: Ensemble, settings: TrainingSettings) -> str:
    members = ", ".join(name.replace("_", " ") for name in ensemble.names)
    return (
        f"Prices a used car, in dollars, from its raw listing: a linear stack of {members}, with an interval "
        f"that should hold {settings.confidence:.0%} of the prices."
    )


def _limits(settings: TrainingSettings) -> str:
    return (
        f"Prices below {_dollars(settings.price_min)} or above {_dollars(settings.price_max)}: such listings "
        "were left out. Makes and models that it has seen little of are priced like others of their kind."
    )


def _errors(ensemble: Ensemble, evaluated: Evaluation) -> str:
    weights = dict(zip(ensemble.names, ensemble.stack.weights, strict=True))
    rows = [
        (
            f"**{name}**" if name == STACK else name.replace("_", " "),
            _dollars(found.rmse),
            _dollars(found.mae),
            f"{found.r2:.3f}",
            _dollars(found.bias),
            "" if name == STACK else f"{weights[name]:.3f}",
        )
        for name, found in evaluated.errors[TEST].items()
    ]
    return _table(("model", "RMSE", "MAE", "R²", "bias", "weight in the stack"), rows)


def _rows(counts: Mapping[str, int], tags: Mapping[str, str]) -> str:
    batches = tags.get("pipelines.batches", "").split(",")
    named = ", ".join(f"`{batch}`" for batch in batches[-_TOP:])
    more = f"{len(batches) - _TOP} others and " if len(batches) > _TOP else ""
    what = [(name.removeprefix("rows.").replace(".", ": ").replace("_", " "), f"{n:,}")
            for name, n in counts.items()]  # fmt: skip
    judged = f"The profile of the newest: {tags['pipelines.profile']}."
    return f"Batches: {more}{named}. {judged}\n\n" + _table(("rows", "count"), what)


def _settings(ensemble: Ensemble, settings: TrainingSettings) -> str:
    rows = [
        (one.member.name.replace("_", " "), ", ".join(map(_setting, one.best.final_params().items())))
        for one in ensemble.validated
    ]
    return f"By the RMSE on rows held out, in {settings.folds} folds of cars.\n\n" + _table(
        ("member", "parameters"), rows
    )


def _setting(item: tuple[str, float]) -> str:
    return f"{item[0].replace('_', ' ')} {item[1]:g}"


def _importances(shares: Mapping[str, float]) -> str:
    ordered = sorted(shares.items(), key=lambda item: -item[1])[:_TOP]
    rows = [(name.replace("_", " "), f"{share:.1%}") for name, share in ordered]
    return _table(("feature", "share of the boosting member's gain"), rows)


def _dollars(value: float) -> str:
    return f"{'-' if value < 0 else ''}${abs(value):,.0f}"


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
