"""Model precision tau: from weight decay, from the noise, or from data by maximum likelihood."""

from mcdrop.precision.decay import Penalty, Reduction, tau_from_weight_decay, weight_decay_from_tau
from mcdrop.precision.likelihood import LogLikelihood, SquaredErrors, predictive_log_likelihood
from mcdrop.precision.noise import noise_std_from_tau, one_tau, tau_from_noise_std
from mcdrop.precision.search import Precision, likeliest_tau, tau_bracket

__all__ = [
    "LogLikelihood",
    "Penalty",
    "Precision",
    "Reduction",
    "SquaredErrors",
    "likeliest_tau",
    "noise_std_from_tau",
    "one_tau",
    "predictive_log_likelihood",
    "tau_bracket",
    "tau_from_noise_std",
    "tau_from_weight_decay",
    "weight_decay_from_tau",
]
