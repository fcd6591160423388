"""What every test shares: no model hub is asked for anything, and where the real data lies."""

import os
from pathlib import Path

import pytest

# Before any test module imports `datasets`, which reads these once.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_DATASETS_OFFLINE"] = "1"

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real crawls beside the checkout; the test is skipped where there is none."""
    if not SHARED_DATA.is_dir():
        pytest.skip("the real crawls (../shared/data) are not on this machine")
    return SHARED_DATA
