"""One thread for torch: the nets of the tests are small, and threads that wait for each other are slow."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
