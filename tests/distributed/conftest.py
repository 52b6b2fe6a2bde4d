"""One Ray for all tests that need one: started by the first of them, stopped after the last."""

import logging
import warnings

import pytest


@pytest.fixture(scope="package")
def cluster():
    """A Ray with three CPUs, and this process connected to it."""
    import ray
    import ray.data

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ray.init(
            address="local",
            num_cpus=3,
            include_dashboard=False,
            log_to_driver=False,
            logging_level=logging.ERROR,
            object_store_memory=200 * 2**20,
        )
        ray.data.DataContext.get_current()  # made once, it warns of its own settings
    yield ray
    ray.shutdown()


@pytest.fixture(autouse=True)
def _ray_warns_of_itself():
    """Let Ray's own warnings be: they are not ours, except those of pools without enough to do."""
    with warnings.catch_warnings():
        warnings.filterwarnings("default", module=r"ray\..*")
        warnings.filterwarnings("error", message="The minimum number of concurrent actors")
        yield
