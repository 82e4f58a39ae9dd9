from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("EVOCONV_CACHE", str(folder))
    monkeypatch.delenv("EVOCONV_DATA", raising=False)
    monkeypatch.delenv("EVOCONV_MIRROR", raising=False)
    return folder
