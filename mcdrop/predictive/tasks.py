"""What a net was trained for, as the user says it, and how its return is read for that."""

from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

from mcdrop.arguments import check_choice
from mcdrop.errors import InputError
from mcdrop.outputs import GaussianReader, LogitReader, Output, Outputs, Selection
from mcdrop.predictive.joint import JointReading
from mcdrop.predictive.reading import ClassificationReading, HeteroscedasticReading, Reading, RegressionReading

__all__ = ["Task", "Tasks", "check_class_options", "check_task", "reading_of"]

Task = Literal["regression", "classification", "heteroscedastic"]
"""Values, classes, or values and the log-variance of their noise."""

Tasks: TypeAlias = Task | Mapping[Any, Task]
"""One task, or one for the place or the name of each target in what the net returns."""


def check_task(task: Tasks, output: Output) -> None:
    """Refuse what is no task, or tasks of no targets.

    Args:
        task: The task or tasks.
        output: The part of the net's return that was chosen for a single task.

    Raises:
        InputError: If a task is unknown, or several come with no places or names of their own.
    """
    if not isinstance(task, Mapping):
        check_choice("task", task, Task)
        return
    if not task or output is not None:
        got = f"output={output!r} too" if task else "no part"
        raise InputError(
            f"several targets must be given as task={{part: its task}} alone, got {got}; name in task the parts that "
            "the net returns"
        )
    for key, one in task.items():
        if isinstance(key, bool) or not isinstance(key, int | str):
            raise InputError(f"task must go by places or names of the net's outputs, got {key!r}; such as 0 or 'depth'")
        check_choice(f"task[{key!r}]", one, Task)


def check_class_options(task: Tasks, *, outputs: Outputs, class_axis: int | None) -> None:
    """Refuse options of classification that are none, or that no task has a use for.

    Args:
        task: The task or tasks.
        outputs: What a classifier returns.
        class_axis: Which axis holds the classes, or None.

    Raises:
        InputError: Saying which.
    """
    check_choice("outputs", outputs, Outputs)
    if isinstance(class_axis, bool) or not (class_axis is None or isinstance(class_axis, int)):
        raise InputError(f"class_axis must be a whole number, got {class_axis!r}; 1 is usual, -1 for per-token logits")
    if "classification" in (task.values() if isinstance(task, Mapping) else [task]):
        return
    for name, value, default in (("outputs", outputs, "logits"), ("class_axis", class_axis, None)):
        if value != default:
            raise InputError(
                f"{name} must go with task='classification', got {name}={value!r} and task={task!r}; leave it out, or "
                "name the part of the net's return with output="
            )


def reading_of(task: Tasks, output: Output, *, outputs: Outputs, class_axis: int | None) -> Reading[Any, Any]:
    """Return how a net's return is read in one run.

    Args:
        task: The task, or one for each target.
        output: Which part of the return to look at; targets name their own.
        outputs: For classification, what the part holds.
        class_axis: For classification, which axis of it holds the classes, as `ClassificationReading` takes it.
    """
    if isinstance(task, Mapping):
        options: dict[str, Any] = {"outputs": outputs, "class_axis": class_axis}
        return JointReading({key: reading_of(one, key, **options) for key, one in task.items()})
    selection = Selection(output)
    if task == "classification":
        return ClassificationReading(selection, LogitReader(outputs), class_axis)
    if task == "heteroscedastic":
        return HeteroscedasticReading(GaussianReader(selection))
    return RegressionReading(selection)
