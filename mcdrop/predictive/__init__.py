"""The result types, what T passes say about N points, and how a net's return becomes one of them."""

from mcdrop.predictive.classification import ClassificationPredictive
from mcdrop.predictive.conditional import conditional_reading
from mcdrop.predictive.joining import joined
from mcdrop.predictive.joint import JointReading, Key
from mcdrop.predictive.points import at_points, in_order
from mcdrop.predictive.reading import Reading
from mcdrop.predictive.regression import RegressionPredictive
from mcdrop.predictive.tasks import Task, Tasks, check_class_options, check_task, reading_of

__all__ = [
    "ClassificationPredictive",
    "JointReading",
    "Key",
    "Reading",
    "RegressionPredictive",
    "Task",
    "Tasks",
    "at_points",
    "check_class_options",
    "check_task",
    "conditional_reading",
    "in_order",
    "joined",
    "reading_of",
]
