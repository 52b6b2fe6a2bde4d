"""Dropout that torch lacks and the literature uses, as plain modules, and dropout for trained nets that have none."""

from mcdrop.layers.concrete import ConcreteDropout, concrete_regularizer
from mcdrop.layers.dropconnect import DropConnect
from mcdrop.layers.gaussian import GaussianDropout
from mcdrop.layers.insertion import InputDropout, Kind, Where, add_dropout
from mcdrop.layers.inverted import InvertedDropout
from mcdrop.layers.recurrent import VariationalRNN
from mcdrop.layers.vanilla import VanillaDropout
from mcdrop.layers.variational import VariationalDropout

__all__ = [
    "ConcreteDropout",
    "DropConnect",
    "GaussianDropout",
    "InputDropout",
    "InvertedDropout",
    "Kind",
    "VanillaDropout",
    "VariationalDropout",
    "VariationalRNN",
    "Where",
    "add_dropout",
    "concrete_regularizer",
]
