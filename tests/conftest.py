import os
import signal
from pathlib import Path

import pytest
from hypothesis import settings

# Machines are busy with other things: how long an example takes says nothing. The same examples
# each time, unless somebody goes looking: pytest --hypothesis-profile=explore
settings.register_profile("explore", deadline=None)
settings.register_profile("usual", deadline=None, derandomize=True)
settings.load_profile("usual")


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Keep decoded images of tests away from a person's own."""
    os.environ["EVOCONV_CACHE"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="session", autouse=True)
def _ctrl_c_is_heard() -> None:
    """Undo what a shell does to its background jobs: they, and their children, ignore Ctrl-C."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real image sets; the test is skipped where there is none."""
    beside = Path(__file__).parents[2] / "shared" / "data"
    folder = Path(os.environ.get("EVOCONV_DATA", beside))
    if not folder.is_dir():
        pytest.skip("no real image sets: set EVOCONV_DATA")
    return folder
