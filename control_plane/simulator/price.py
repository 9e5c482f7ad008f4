"""The log price that a listing's model, year, mileage and condition lead one to expect."""

import numpy as np

from control_plane.simulator.facts import Bools, Facts, Floats, Ints

#: Prices are log-normal around their median; the spread is the part of a price that nothing in the row
#: explains.
SPREAD_NEW, SPREAD_USED, SPREAD_PER_YEAR, SPREAD_MOST = 0.045, 0.06, 0.004, 0.14
#: A regression on cars up to this age fitted the models' own slopes; beyond it they are held.
_SLOPE_AGE_MOST, _SLOPE_AGE_CENTRE = 15.0, 4.0
_WEAR_MILES_MOST, _WEAR_MILES_CENTRE = 20.0, 4.0
_LEVEL_CENTRE = 10.1


def market_log_price(facts: Facts, model: Ints, age: Floats, miles: Floats, new: Bools) -> Floats:
    """Median log price in dollars of a car of ``model`` (index), ``age`` in years and ``miles``."""
    models, curves = facts.models, facts.curves
    dear = np.log(models.mean_price[model]) - _LEVEL_CENTRE
    ones = np.ones(len(model))
    traits = (ones, models.truck[model], models.luxury[model], dear, np.minimum(age, 12.0) / 10)
    log_price = models.level[model] + models.slope[model] * (
        np.minimum(age, _SLOPE_AGE_MOST) - _SLOPE_AGE_CENTRE
    )
    for trait, values in zip(traits, curves.age_values.T, strict=False):
        log_price += trait * np.interp(age, curves.age_knots, values)
    for trait, values in zip(traits, curves.miles_values.T, strict=True):
        log_price += trait * np.interp(miles, curves.miles_knots, values)
    wear = facts.makes.wear[models.make_id[model]]
    log_price += wear * (np.minimum(miles / 10_000, _WEAR_MILES_MOST) - _WEAR_MILES_CENTRE)
    return log_price + np.where(new, curves.new_base + curves.new_luxury * models.luxury[model], 0.0)


def spread(age: Floats, new: Bools) -> Floats:
    """Standard deviation of the log price around its median."""
    used = np.minimum(SPREAD_USED + SPREAD_PER_YEAR * np.maximum(age, 0.0), SPREAD_MOST)
    return np.where(new, SPREAD_NEW, used)
