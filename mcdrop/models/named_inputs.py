"""Inputs of an exported program by name: files hold several of them as arrays that have names, not places."""

import json
from typing import Any

__all__ = ["with_named_inputs"]


def with_named_inputs(program: dict[str, Any]) -> dict[str, Any]:
    """Let a program that takes several inputs take them all by name; one alone stays positional.

    The order of the inputs stays, so that nothing else of the program changes.

    Args:
        program: A checked program; it is changed.

    Returns:
        The same program.
    """
    signature = program["graph_module"]["module_call_graph"][0]["signature"]
    protocol, tree = json.loads(signature["in_spec"])
    places, words = tree["children_spec"]
    names = signature.get("forward_arg_names") or []
    several = len(places["children_spec"]) + len(words["children_spec"]) > 1
    plain = all(place["type"] is None for place in places["children_spec"])
    if several and plain and places["children_spec"] and len(names) >= len(places["children_spec"]):
        named = [*names[: len(places["children_spec"])], *json.loads(words["context"])]
        words["children_spec"] = places["children_spec"] + words["children_spec"]
        words["context"], places["children_spec"] = json.dumps(named), []
        signature["in_spec"] = json.dumps([protocol, tree])
    return program
