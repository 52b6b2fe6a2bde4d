"""The tutorial's two data sets, one file each."""

from mcdrop.datasets.co2 import CO2, Standardizer, load_co2
from mcdrop.datasets.digits import Digits, load_digits, rotate

__all__ = ["CO2", "Digits", "Standardizer", "load_co2", "load_digits", "rotate"]
