"""Whole studies of compress: a small file that predicts as it was tested, and what can go wrong."""

import json
import math
import shutil
import subprocess
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import evoconv
from evoconv.cli import main
from evoconv.compression import sharing
from evoconv.compression.modulation import modulated_clusters
from evoconv.compression.tensors import SharedTensor
from evoconv.config import config_from_dict
from evoconv.configure import configure
from evoconv.errors import ConfigError, DataError, EvoconvError, StudyError
from evoconv.export.check import check_saved
from evoconv.export.evo_file import read_evo, write_evo
from evoconv.genomes.architecture import read_genome
from evoconv.genomes.reference import REFERENCES
from evoconv.genomes.sharing_space import Sharing
from evoconv.genomes.vector import Vector
from evoconv.networks.build import build_network
from evoconv.networks.weights import read_tensors, weights_to_bytes
from evoconv.preparation import prepare
from evoconv.problems.shared_weights import FindLeastClusters
from evoconv.problems.weight_sharing import WeightSharingProblem
from evoconv.records import Trial
from evoconv.study.storage import Storage
from evoconv.study.watch import Unwatched
from tests.small_studies import (
    FAST,
    Listening,
    command,
    draw_stripes,
    finished,
    flags,
    kill_when,
    shown,
    start,
    trials_in,
    write_stripes,
)

SHORT: dict[str, Any] = {"recipe": "untrained", "evaluations": 12, "workers": 2}
TRAINED: dict[str, Any] = {"evaluations": 10, "workers": 2, "image_passes": 2_400, "batch_size": 16}


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_stripes(tmp_path_factory.mktemp("images") / "stripes.npz", 400)


@pytest.fixture(scope="module")
def evolved(images: Path, tmp_path_factory: pytest.TempPathFactory) -> evoconv.Result:
    run = tmp_path_factory.mktemp("runs") / "evolved"
    long = {"image_passes": 3_000, "final_epochs": 30}
    return evoconv.evolve(images, out=run, seed=5, evaluations=2, **(FAST | long))


@pytest.fixture(scope="module")
def compressed(
    images: Path, evolved: evoconv.Result, tmp_path_factory: pytest.TempPathFactory
) -> evoconv.Result:
    run = tmp_path_factory.mktemp("runs") / "compressed"
    return evoconv.compress(evolved.run, images, out=run, max_accuracy_drop=0.02, **SHORT)


def test_the_file_is_small_and_its_size_is_what_is_reported(
    evolved: evoconv.Result, compressed: evoconv.Result
) -> None:
    found = compressed.summary
    file = compressed.run / "model.evo"
    assert found["bytes"] == file.stat().st_size
    assert found["dense_bytes"] == 4 * evolved.summary["parameters"]
    assert found["ratio_bytes"] == pytest.approx(found["dense_bytes"] / found["bytes"])
    assert found["ratio_formula"] > 1
    assert found["ratio_layer_mean"] > 1
    assert found["base_test_accuracy"] == pytest.approx(evolved.summary["test_accuracy"])
    assert found["repeats"] == 1
    assert found["kept"] == "evolved"


def test_each_layer_has_the_weights_that_the_genome_says(compressed: evoconv.Result) -> None:
    genome = compressed.best.trial.individual.genome
    assert isinstance(genome, Vector)
    _, tensors = read_evo(compressed.run / "model.evo")
    counts = [one.codebooks.shape[1] for one in tensors.values() if isinstance(one, SharedTensor)]
    assert counts == list(genome.values)


def test_the_target_is_the_networks_own_validation_accuracy_less_the_drop(
    compressed: evoconv.Result,
) -> None:
    values = [
        one.individual.measurement.values
        for one in compressed.trials
        if one.individual.measurement is not None
    ]
    best = compressed.summary
    assert best["target_reached"] in (True, False)
    reaching = [one for one in values if one["validation_accuracy"] >= _target(compressed)]
    assert best["target_reached"] == bool(reaching)
    chosen = compressed.best.trial.individual.measurement
    assert chosen is not None
    if reaching:
        assert chosen.values["bytes"] == min(one["bytes"] for one in reaching)


def _target(result: evoconv.Result) -> float:
    with closing(Storage.open(result.run, read_genome)) as storage:
        before, options = storage.config["uncompressed"], storage.config["compress"]
    return float(before["accuracy"] - options["max_accuracy_drop"])


def test_the_search_begins_where_each_layer_alone_can_do(compressed: evoconv.Result) -> None:
    with closing(Storage.open(compressed.run, read_genome)) as storage:
        note = storage.note("ranges")
    assert note is not None
    # The note is in the order in which layers were measured, a genome in that of the network.
    least = [note[name] for name in compressed.best.model.state_dict() if name in note]
    assert min(least) >= 2
    for trial in compressed.trials:
        assert isinstance(trial.individual.genome, Vector)
        assert all(a >= b for a, b in zip(trial.individual.genome.values, least, strict=True))


def test_a_layer_that_no_fewer_clusters_will_do_for_is_told(
    images: Path, evolved: evoconv.Result, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = WeightSharingProblem.range_tasks
    failed: set[str] = set()

    def with_two_that_fail(self: WeightSharingProblem) -> dict[str, FindLeastClusters]:
        (first, task), *others, (last, other) = whole(self).items()
        # The last may lose nothing and must gain, which no clusters give; the rest may do with 2.
        unmet = replace(other, largest_drop=-1.0)
        failed.add(first)
        return {first: replace(task, book="there is none"), **dict(others), last: unmet}

    monkeypatch.setattr(WeightSharingProblem, "range_tasks", with_two_that_fail)
    watch, few = Listening(), SHORT | {"evaluations": 1, "most_clusters": 3, "range_drop": 0.0}
    run = evoconv.compress(evolved.run, images, out=tmp_path / "run", watch=watch, **few).run
    with closing(Storage.open(run, read_genome)) as storage:
        found = storage.note("ranges") or {}  # in the order in which they were measured
    said = "\n".join(watch.sentences)
    (name,) = failed
    assert found.pop(name) == 1
    assert f"{name}: how few clusters it alone can do with could not be measured" in said
    pinned = [book for book, least in found.items() if least == 3]
    assert pinned
    for book in pinned:
        assert f"{book}: with fewer than 3 clusters it alone costs more than 0 points" in said
    assert said.count("it alone") == 1 + len(pinned)


def test_the_file_alone_predicts_as_the_run_folder_does(
    compressed: evoconv.Result, tmp_path: Path
) -> None:
    moved = tmp_path / "elsewhere.evo"
    shutil.copy(compressed.run / "model.evo", moved)
    pixels, _ = draw_stripes(20)
    for number, image in enumerate(pixels):
        Image.fromarray(image).save(tmp_path / f"{number:02}.png")
    answers = [
        subprocess.run(
            command("predict", str(network), str(tmp_path), "--json"),
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for network in (moved, compressed.run)
    ]
    assert answers[0] == answers[1]
    assert len(json.loads(answers[0])) == 20


def test_a_file_can_be_looked_into(
    compressed: evoconv.Result, capsys: pytest.CaptureFixture[str]
) -> None:
    file = compressed.run / "model.evo"
    assert main(["inspect", str(file), "--json"]) == 0
    content = json.loads(capsys.readouterr().out)
    assert content["bytes"] == file.stat().st_size
    _, tensors = read_evo(file)
    assert [one["name"] for one in content["tensors"]] == list(tensors)
    for row, one in zip(content["tensors"], tensors.values(), strict=True):
        if isinstance(one, SharedTensor):
            assert row["clusters"] == one.codebooks.shape[1] >= len(np.unique(one.values))
        else:
            assert row["clusters"] is None
            assert row["bytes"] == one.values.size * one.bits / 8
    # Each tensor costs a little more than its entropy, the description about a hundred bytes.
    estimated = sum(one["bytes"] for one in content["tensors"])
    assert estimated < content["bytes"] < 1.1 * estimated + 300
    assert main(["inspect", str(file)]) == 0
    text = capsys.readouterr().out
    assert "10×10, 1 channel; 3 classes" in text
    assert all(name[:20] in text for name in tensors)


def test_a_file_becomes_tensors_again(
    compressed: evoconv.Result, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, out = compressed.run / "model.evo", tmp_path / "model.safetensors"
    assert main(["decompress", str(file), "-o", str(out)]) == 0
    _, tensors = read_evo(file)
    back = read_tensors(out.read_bytes())
    for name, one in tensors.items():
        np.testing.assert_array_equal(back[name].numpy(), one.values)
    assert main(["decompress", str(file), "-o", str(tmp_path / "model.pt")]) == 2
    assert "--out must end in .safetensors" in capsys.readouterr().err
    assert main(["decompress", str(tmp_path / "no.evo"), "-o", str(out)]) == 2
    assert "no.evo can't be read: No such file" in capsys.readouterr().err


def test_it_is_shown_with_its_sizes(compressed: evoconv.Result) -> None:
    text = " ".join(shown(compressed.run).split())
    assert "times smaller than its parameters in float32" in text
    assert "by the published formula" in text
    assert "clusters" in text
    assert "before, test" in text
    assert "model.evo" in text
    for name in ("fitness.png", "front.png"):
        with Image.open(compressed.run / name) as image:
            assert image.size[0] > 500


def test_the_front_is_of_accuracy_and_bytes(compressed: evoconv.Result) -> None:
    front = compressed.summary["front"]
    assert len({one["bytes"] for one in front}) == len(front)
    ordered = sorted(front, key=lambda one: one["bytes"])
    accuracies = [one["validation_accuracy"] for one in ordered]
    assert accuracies == sorted(accuracies)


def test_another_network_can_be_packed(compressed: evoconv.Result) -> None:
    other = next(
        one.number
        for one in compressed.trials
        if one.individual.measurement is not None and one.number != compressed.best.trial.number
    )
    evoconv.finish(compressed.run, other)
    folder = compressed.run / f"trial-{other}"
    found = json.loads((folder / "result.json").read_text("utf-8"))
    assert (folder / "model.evo").stat().st_size == found["bytes"]
    assert found["bytes"] != compressed.summary["bytes"]


@pytest.mark.parametrize("method", ["sync", "swarm", "black-hole", "nsga2"])
def test_every_optimiser_shares_weights(
    method: str, images: Path, evolved: evoconv.Result, tmp_path: Path
) -> None:
    result = evoconv.compress(
        evolved.run, images, out=tmp_path / "run", method=method, population=5, **SHORT
    )
    assert result.summary["evaluations"] == 12
    assert result.summary["bytes"] < evolved.summary["parameters"] * 4


def test_killed_amid_the_search_it_goes_on(
    images: Path, evolved: evoconv.Result, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    options = {"recipe": "untrained", "evaluations": 60, "workers": 2}
    words = ["compress", str(evolved.run), str(images), "--out", "run", *flags(options)]
    process = start(*words, cwd=tmp_path)
    kill_when(process, lambda: len(finished(trials_in(run))) >= 3, "trials are finished")
    before = finished(trials_in(run))
    assert main(["resume", str(run), "--quiet"]) == 0
    after = finished(trials_in(run))
    assert before.items() <= after.items()
    assert len(after) >= 60
    assert (run / "model.evo").is_file()


NO_FINE_VALUES: dict[str, Any] = {"max_accuracy_drop": 1.0, "codebook_bits": 8, "bias_bits": 8}


def test_a_limit_of_bytes_is_kept_by_the_file(
    images: Path, evolved: evoconv.Result, tmp_path: Path
) -> None:
    options = SHORT | NO_FINE_VALUES
    free = evoconv.compress(evolved.run, images, out=tmp_path / "free", **options)
    assert free.summary["max_bytes_kept"] is None
    # Of candidates that differ much in accuracy the least accurate ones are small.
    limit = int(sorted(_bytes_of(free))[2]) + _description_bytes(free)
    options |= {"max_accuracy_drop": 0.0}
    tight = evoconv.compress(
        evolved.run, images, out=tmp_path / "tight", max_bytes=limit, **options
    )
    assert (tight.run / "model.evo").stat().st_size <= limit
    assert tight.summary["max_bytes_kept"] is True
    with pytest.raises(ConfigError, match="--max-bytes 10: with the fewest that are let in"):
        evoconv.compress(evolved.run, images, out=tmp_path / "none", max_bytes=10, **options)


def test_a_trained_candidate_that_is_too_large_is_not_kept_where_another_is_not(
    images: Path, evolved: evoconv.Result, trained: evoconv.Result, tmp_path: Path
) -> None:
    limit = int(np.median(_bytes_of(trained))) + _description_bytes(trained)
    result = evoconv.compress(
        evolved.run, images, out=tmp_path / "run", max_bytes=limit, max_accuracy_drop=0, **TRAINED
    )
    size = (result.run / "model.evo").stat().st_size
    # What is measured is the file without its description, to the byte.
    assert size in [one + _description_bytes(result) for one in _bytes_of(result)]
    assert (size <= limit) == (min(_bytes_of(result)) + _description_bytes(result) <= limit)
    assert result.summary["max_bytes_kept"] == (size <= limit)


def test_a_file_beyond_its_limit_is_told(
    images: Path, evolved: evoconv.Result, tmp_path: Path
) -> None:
    one = SHORT | NO_FINE_VALUES | {"most_clusters": 2, "evaluations": 1}
    free = evoconv.compress(evolved.run, images, out=tmp_path / "free", **one)
    # There is one candidate, and the entropy of its indices promises a few bytes too few.
    limit = int(np.ceil(_bytes_of(free)[0])) + _description_bytes(free)
    size = (free.run / "model.evo").stat().st_size
    assert limit < size < limit + 50
    watch = Listening()
    tight = evoconv.compress(
        evolved.run, images, out=tmp_path / "tight", max_bytes=limit, watch=watch, **one
    )
    assert (tight.run / "model.evo").stat().st_size == size
    assert tight.summary["max_bytes_kept"] is False
    sentence = f"{size:,} bytes, {size - limit:,} more than --max-bytes {limit:,} allows"
    assert any(sentence in one for one in watch.sentences)
    assert f"more than --max-bytes {limit:,} allows" in " ".join(shown(tight.run).split())


def _description_bytes(result: evoconv.Result) -> int:
    with closing(Storage.open(result.run, read_genome)) as storage:
        return int(storage.config["uncompressed"]["description_bytes"])


def _bytes_of(result: evoconv.Result) -> list[float]:
    return [
        one.individual.measurement.values["bytes"]
        for one in result.trials
        if one.individual.measurement is not None
    ]


def test_the_images_held_out_for_the_test_stay_held_out(
    images: Path, evolved: evoconv.Result, compressed: evoconv.Result, tmp_path: Path
) -> None:
    assert compressed.summary["seed"] != evolved.summary["seed"]
    labels = []
    for result in (evolved, compressed):
        with np.load(result.run / "test" / "repeat-0.npz") as stored:
            labels.append(stored["labels"].tolist())
    assert labels[0] == labels[1]
    # The network as it was gives the same on them as in its own study.
    with np.load(compressed.run / "test" / "baseline-1.npz") as stored:
        before = stored["logits"]
    with np.load(evolved.run / "test" / "repeat-0.npz") as stored:
        np.testing.assert_allclose(before, stored["logits"], atol=1e-4)
    with pytest.raises(ConfigError, match="with the splits of its own study"):
        evoconv.compress(evolved.run, images, out=tmp_path / "run", validation_share=0.3, **SHORT)


def test_a_network_of_other_classes_or_sizes_is_refused(
    evolved: evoconv.Result, tmp_path: Path
) -> None:
    labels = np.array(["cat", "dog"] * 40)
    pixels, _ = draw_stripes(80)
    np.savez(tmp_path / "animals.npz", images=pixels, labels=labels)
    with pytest.raises(DataError, match=r"tells 3 classes .* apart, the images are of 2 classes"):
        evoconv.compress(evolved.run, tmp_path / "animals.npz", out=tmp_path / "run", **SHORT)
    colour = np.stack([pixels, pixels // 2, pixels // 3], axis=3)
    np.savez(tmp_path / "colour.npz", images=colour, labels=np.arange(80) % 3)
    with pytest.raises(DataError, match="takes images of 1 channels and 8 bits, these have 3"):
        evoconv.compress(evolved.run, tmp_path / "colour.npz", out=tmp_path / "run", **SHORT)
    assert not (tmp_path / "run").exists()


def test_what_is_no_network_is_refused(images: Path, tmp_path: Path) -> None:
    (tmp_path / "nothing").mkdir()
    with pytest.raises(StudyError, match="no saved model in"):
        evoconv.compress(tmp_path / "nothing", images, out=tmp_path / "run", **SHORT)
    assert not (tmp_path / "run").exists()


def checked(run: Path) -> dict[str, Any]:
    """Let a fresh process look at a finished study."""
    with closing(Storage.open(run, read_genome)) as storage:
        config = config_from_dict(storage.config)
        cache = Path(str((storage.note("data") or {})["folder"]))
    return check_saved(run, cache, config.split, config.seed)


def test_a_file_that_is_not_what_was_tested_is_removed(
    compressed: evoconv.Result, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    shutil.copytree(compressed.run, run)
    assert checked(run)["agrees"]
    description, tensors = read_evo(run / "model.evo")
    name, one = next((name, one) for name, one in tensors.items() if isinstance(one, SharedTensor))
    changed = SharedTensor(
        codebooks=one.codebooks + np.float32(1), indices=one.indices, bits=one.bits
    )
    write_evo(run / "model.evo", description, tensors | {name: changed})
    with pytest.raises(EvoconvError, match=f"{name} in .* is not that of the network that was"):
        checked(run)
    assert not (run / "model.evo").exists()


def test_a_file_whose_labels_are_not_those_of_the_test_is_removed(
    compressed: evoconv.Result, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    shutil.copytree(compressed.run, run)
    (file,) = (run / "test").glob("repeat-*.npz")
    with np.load(file) as stored:
        content = dict(stored)
    np.savez(file, logits=-content["logits"], labels=content["labels"])
    with pytest.raises(EvoconvError, match="test images get another label in a fresh process"):
        checked(run)
    assert not (run / "model.evo").exists()


@pytest.fixture(scope="module")
def trained(
    images: Path, evolved: evoconv.Result, tmp_path_factory: pytest.TempPathFactory
) -> evoconv.Result:
    run = tmp_path_factory.mktemp("runs") / "trained"
    return evoconv.compress(evolved.run, images, out=run, seed=1, max_accuracy_drop=0.05, **TRAINED)


def test_trained_weights_are_as_few_and_as_many_as_the_genome_says(
    trained: evoconv.Result,
) -> None:
    genome = trained.best.trial.individual.genome
    assert isinstance(genome, Vector)
    sharing = Sharing.of(genome)
    _, tensors = read_evo(trained.run / "model.evo")
    layers = [one for name, one in tensors.items() if one.values.ndim > 1]
    assert len(layers) == len(sharing.clusters) == len(sharing.kept)
    for one, clusters, kept in zip(layers, sharing.clusters, sharing.kept, strict=True):
        assert isinstance(one, SharedTensor)
        assert one.codebooks.shape[1] <= clusters
        assert np.count_nonzero(one.values) <= np.ceil(kept * one.values.size)
    biases = [one for name, one in tensors.items() if name.endswith("bias")]
    assert biases
    assert all(len(np.unique(one.values)) <= 6 for one in biases if one.values.size > 6)


def test_a_file_of_trained_weights_is_as_large_as_the_search_says(
    trained: evoconv.Result,
) -> None:
    found = trained.summary
    size = (trained.run / "model.evo").stat().st_size
    assert found["bytes"] == size
    measurement = trained.best.trial.individual.measurement
    assert measurement is not None
    # The description comes to that.
    assert measurement.values["bytes"] < size < measurement.values["bytes"] + 300


def test_heirs_go_on_from_their_parents(trained: evoconv.Result) -> None:
    said = [
        (one.individual.parents, one.individual.measurement.remarks)
        for one in trained.trials
        if one.individual.measurement is not None
    ]
    assert any(parents for parents, _ in said)
    for parents, remarks in said:
        expected = f"goes on from trial {parents[0]}" if parents else "from the network itself"
        assert any(expected in one for one in remarks)


def test_trained_networks_predict_from_the_file(trained: evoconv.Result) -> None:
    assert trained.summary["test_accuracy"] > 0.5
    by_file = evoconv.load(trained.run / "model.evo")
    pixels, _ = draw_stripes(30)
    answers = [one.logits(pixels[..., None]) for one in (by_file, evoconv.load(trained.run))]
    np.testing.assert_array_equal(answers[0], answers[1])


def test_killed_amid_trained_candidates_it_goes_on(
    images: Path, evolved: evoconv.Result, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    options = TRAINED | {"evaluations": 20, "population": 4}
    words = ["compress", str(evolved.run), str(images), "--out", "run", *flags(options)]
    process = start(*words, cwd=tmp_path)
    kill_when(process, lambda: len(finished(trials_in(run))) >= 5, "trials are finished")
    before = finished(trials_in(run))
    assert main(["resume", str(run), "--quiet"]) == 0
    after = finished(trials_in(run))
    assert before.items() <= after.items()
    assert len(after) >= 20
    assert (run / "model.evo").is_file()


def test_a_known_network_is_trained_first(images: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    options: dict[str, Any] = {"seed": 0, "image_size": 16}
    result = evoconv.compress("lenet5", images, out=run, time="30s", evaluations=4, **options)
    assert result.summary["base_test_accuracy"] > 0.6
    assert (run / "base" / "model.safetensors").is_file()
    assert (run / "model.evo").is_file()
    # Its weights can be given, too.
    file = run / "base" / "model.safetensors"
    again = evoconv.compress(
        "lenet5", images, out=tmp_path / "again", base_weights=file, **(SHORT | options)
    )
    assert again.summary["base_test_accuracy"] == result.summary["base_test_accuracy"]
    # Only of what was trained here it is sure that it has seen no test images.
    assert [_is_said(one) for one in (result, again)] == [False, True]


def test_weights_that_are_another_networks_are_refused(
    images: Path, evolved: evoconv.Result, tmp_path: Path
) -> None:
    file = evolved.run / "best" / "model.safetensors"
    with pytest.raises(StudyError, match=r"model.safetensors doesn't fit lenet5: they"):
        evoconv.compress(
            "lenet5", images, out=tmp_path / "run", base_weights=file, image_size=16, **SHORT
        )
    with pytest.raises(
        ConfigError, match="--base-weights has no use beside a network that has its own"
    ):
        evoconv.compress(evolved.run, images, out=tmp_path / "run", base_weights=file, **SHORT)
    with pytest.raises(ConfigError, match=r"no folder lenet6, .* known are .*lenet5"):
        evoconv.compress("lenet6", images, out=tmp_path / "run", **SHORT)


def test_weights_that_are_no_numbers_are_refused(images: Path, tmp_path: Path) -> None:
    network = build_network(REFERENCES["lenet5"].topology, (1, 16, 16), 3)
    name = "output.bias"  # which is not shared
    network.get_parameter(name).data[2] = math.nan
    file = tmp_path / "nan.safetensors"
    file.write_bytes(weights_to_bytes(network))
    with pytest.raises(DataError, match=rf"can't be used: {name} holds numbers that are not fin"):
        evoconv.compress(
            "lenet5", images, out=tmp_path / "run", base_weights=file, image_size=16, **SHORT
        )
    assert not (tmp_path / "run" / "base").exists()


def test_evolve_can_end_with_a_compression(
    images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    options = FAST | {"evaluations": 2, "final_epochs": 10, "time": "30s"}
    words = ["evolve", str(images), "--out", str(run), "--seed", "5", "--compress"]
    assert main([*words, "--max-accuracy-drop", "3", *flags(options)]) == 0
    text = capsys.readouterr().out
    assert "times smaller than" in text
    found = json.loads((run / "compressed" / "result.json").read_text("utf-8"))
    before = json.loads((run / "result.json").read_text("utf-8"))
    assert found["bytes"] == (run / "compressed" / "model.evo").stat().st_size
    assert found["base_test_accuracy"] == pytest.approx(before["test_accuracy"])
    # It is done: nothing is left to go on with.
    assert main(["resume", str(run), "--quiet"]) == 0
    assert json.loads((run / "compressed" / "result.json").read_text("utf-8")) == found


def test_killed_amid_the_compression_after_an_evolution_it_goes_on_with_that(
    images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, folder = tmp_path / "run", tmp_path / "run" / "compressed"
    options = FAST | {"evaluations": 1, "time": "60s", "workers": 2, "seed": 5}
    words = ["evolve", str(images), "--out", "run", "--compress", *flags(options)]
    process = start(*words, cwd=tmp_path)
    kill_when(process, lambda: len(finished(trials_in(folder))) >= 2, "candidates are finished")
    evolved, before = finished(trials_in(run)), finished(trials_in(folder))
    assert not (folder / "model.evo").exists()

    assert main(["resume", str(run)]) == 0
    assert f"its compression in {folder} goes on" in " ".join(capsys.readouterr().out.split())
    assert finished(trials_in(run)) == evolved
    assert before.items() <= finished(trials_in(folder)).items()
    found = json.loads((folder / "result.json").read_text("utf-8"))
    assert found["bytes"] == (folder / "model.evo").stat().st_size
    # Nothing is left to go on with.
    assert evoconv.resume(run).run == run
    assert json.loads((folder / "result.json").read_text("utf-8")) == found


@pytest.mark.parametrize(
    "options",
    [
        {"aim": "moving-targets", "method": "sync"},
        {"modulate": True},
        {"depthwise": "skipped", "fold": True},
        {"recipe": None, "reassign": True, "distillation": 0.5, "image_passes": 300},
        {"recipe": None, "least_kept": "unset", "bias_clusters": 0, "image_passes": 300},
        {"couple": "kinds", "modulate": True},
        {"recipe": None, "couple": "kinds", "bias_clusters": 0, "image_passes": 300},
    ],
)
def test_every_switch_leads_to_a_file(
    options: dict[str, Any], images: Path, evolved: evoconv.Result, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    few = SHORT | {"evaluations": 6, "population": 4, "most_clusters": 8}
    result = evoconv.compress(evolved.run, images, out=run, seed=0, **(few | options))
    assert result.summary["bytes"] == (run / "model.evo").stat().st_size
    assert result.summary["failed"] == 0


def test_the_file_has_the_clusters_that_were_tested_though_others_would_come_out_next(
    images: Path, evolved: evoconv.Result, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    num_calls = 0

    def rounded_anew(*given: Any) -> Any:
        nonlocal num_calls
        num_calls += 1
        centroids, indices = modulated_clusters(*given)
        return centroids * (1 + 1e-3 * num_calls), indices

    # The workers, who search, have their own.
    monkeypatch.setattr(sharing, "modulated_clusters", rounded_anew)
    few = SHORT | {"evaluations": 1, "most_clusters": 8, "modulate": True}
    result = evoconv.compress(evolved.run, images, out=tmp_path / "run", seed=0, **few)
    assert num_calls > 0
    assert result.summary["bytes"] == (tmp_path / "run" / "model.evo").stat().st_size


@pytest.mark.parametrize("recipe", [{}, {"recipe": None, "image_passes": 300}])
def test_coupled_layers_have_one_codebook_in_the_file(
    recipe: dict[str, Any],
    images: Path,
    evolved: evoconv.Result,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    few = SHORT | {"evaluations": 6, "population": 4, "most_clusters": 8, "couple": "all"}
    result = evoconv.compress(evolved.run, images, out=tmp_path / "run", seed=0, **(few | recipe))
    genome = result.best.trial.individual.genome
    assert isinstance(genome, Vector)
    (count,) = Sharing.of(genome).clusters
    _, tensors = read_evo(tmp_path / "run" / "model.evo")
    layers = [
        one for one in tensors.values() if isinstance(one, SharedTensor) and one.values.ndim > 1
    ]
    assert len(layers) > 1
    assert all(one.codebooks is layers[0].codebooks for one in layers)
    assert layers[0].codebooks.shape[1] <= count
    capsys.readouterr()
    assert main(["inspect", str(tmp_path / "run" / "model.evo"), "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["tensors"]
    first, *others = [row for row in rows if row["clusters"] and len(row["shape"]) > 1]
    assert first["coupled_to"] is None
    assert {row["coupled_to"] for row in others} == {first["name"]}
    assert result.summary["bytes"] == (tmp_path / "run" / "model.evo").stat().st_size


def test_contradictory_switches_are_refused(
    images: Path, evolved: evoconv.Result, tmp_path: Path
) -> None:
    for options, complaint in (
        ({"modulate": True}, "--modulate is for clusters that stay as they are: --no-fine-tune"),
        ({"depthwise": "rows"}, "--depthwise rows is for clusters that stay"),
        ({"modulate": True, "depthwise": "rows", "fine_tune": False}, "no spread and no focus"),
        ({"weight_average": 0.9}, "--weight-average has no use where shared values are trained"),
    ):
        with pytest.raises(ConfigError, match=complaint):
            evoconv.compress(evolved.run, images, out=tmp_path / "run", **options)


def test_from_python_a_study_ends_with_its_compression_too(images: Path, tmp_path: Path) -> None:
    # Nor do folds stand in the way: what is compressed has seen all training images anyway.
    options = FAST | {"evaluations": 1, "folds": 3, "seed": 5, "workers": 2}
    result = evoconv.evolve(
        images, out=tmp_path / "run", compress=True, max_accuracy_drop=0.5, **options
    )
    found = evoconv.Result(result.run / "compressed")
    assert found.summary["bytes"] == (found.run / "model.evo").stat().st_size
    assert evoconv.resume(result.run).run == result.run


def test_images_that_the_network_may_have_learned_from_are_no_test(
    images: Path, evolved: evoconv.Result, tmp_path: Path
) -> None:
    pixels, labels = draw_stripes(401)
    np.savez(tmp_path / "more.npz", images=pixels, labels=labels)
    with pytest.raises(DataError, match="not the images of the network's own study"):
        evoconv.compress(evolved.run, tmp_path / "more.npz", out=tmp_path / "run", **SHORT)
    assert not (tmp_path / "run").exists()
    copied = Path(shutil.copytree(evolved.run, tmp_path / "evolved"))
    number = next(one for one in range(2) if one != evolved.summary["trial"])
    evoconv.finish(copied, number)
    result = evoconv.compress(copied / f"trial-{number}", images, out=tmp_path / "run", **SHORT)
    with np.load(result.run / "test" / "repeat-0.npz") as stored:
        labels_now = stored["labels"].tolist()
    with np.load(evolved.run / "test" / "repeat-0.npz") as stored:
        assert labels_now == stored["labels"].tolist()


def test_where_nobody_knows_what_a_network_learned_from_it_is_told(
    images: Path, evolved: evoconv.Result, tmp_path: Path
) -> None:
    copied = Path(shutil.copytree(evolved.run / "best", tmp_path / "best"))
    pixels, labels = draw_stripes(150)
    with_test = tmp_path / "with-test.npz"
    np.savez(
        with_test,
        x_train=pixels[:100],
        y_train=labels[:100],
        x_test=pixels[100:],
        y_test=labels[100:],
    )
    for model, source, wanted in (
        (copied, images, True),
        (copied, with_test, False),
        (evolved.run, images, False),
        (evolved.run / "best", images, False),
    ):
        config = configure(str(source), {}, seed=0, command="compress", model=str(model))
        notes = prepare(config, tmp_path / "run", Unwatched()).note()["notes"]
        assert any("test images may be among them" in one for one in notes) == wanted


def _is_said(result: evoconv.Result) -> bool:
    notes = result.summary["data"]["notes"]
    return any("the test images may be among them" in one for one in notes)


class Pressing(Unwatched):
    """Ctrl-C when a few trials have finished."""

    def finished(self, trial: Trial) -> None:
        if trial.number == 5:
            raise KeyboardInterrupt


def test_interrupted_without_training_it_leaves_the_best_so_far(
    images: Path, evolved: evoconv.Result, tmp_path: Path
) -> None:
    with pytest.raises(KeyboardInterrupt):
        evoconv.compress(
            evolved.run, images, out=tmp_path / "run", watch=Pressing(), seed=3, **SHORT
        )
    assert evoconv.load(tmp_path / "run").classes == ("0", "1", "2")
    assert evoconv.Result(tmp_path / "run").summary["test_accuracy"] is None
    assert evoconv.resume(tmp_path / "run").summary["complete"]
