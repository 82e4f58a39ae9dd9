import numpy as np
import torch
from torch import Tensor, nn

from evoconv.data.batches import ImageTensor, Standardisation
from evoconv.problems.teacher import TaughtSource, Teacher
from evoconv.training.precision import Precision

PRECISION = Precision(channels_last=True)


class Counting(nn.Module):
    """A small network that counts the images which it is asked about; it has a dropout."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(1, 4, 3), nn.Flatten(), nn.Dropout(0.5), nn.Linear(4 * 36, 3)
        )
        self.asked = 0

    def forward(self, x: Tensor) -> Tensor:
        self.asked += len(x)
        logits: Tensor = self.layers(x)
        return logits


def images(count: int) -> ImageTensor:
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (count, 8, 8, 1), np.uint8)
    standardisation = Standardisation(mean=(128.0,), std=(60.0,))
    return ImageTensor(pixels, np.arange(count) % 3, standardisation, torch.device("cpu"))


def test_a_teacher_is_asked_once_about_each_image() -> None:
    network, source = Counting(), images(20)
    teacher = Teacher(network, 20, 3, PRECISION)
    some, others = torch.tensor([7, 3, 19]), torch.tensor([3, 4, 7, 5])
    for rows in (some, others, some):
        thought = teacher.probabilities(source, rows)
        with torch.no_grad():  # without dropout: by now the network is in evaluation mode
            wanted = network.layers(source.cut(rows)[0]).softmax(1)
        torch.testing.assert_close(thought, wanted)
    assert network.asked == 5


def test_labels_are_what_is_given_and_what_is_thought() -> None:
    source, rows = images(9), torch.tensor([8, 0, 4])
    teacher = Teacher(Counting(), 9, 3, PRECISION)
    thought = teacher.probabilities(source, rows)
    inputs, labels = TaughtSource(source=source, teacher=teacher, share=0.7).cut(rows)
    given = nn.functional.one_hot(rows % 3, 3)
    torch.testing.assert_close(labels, 0.3 * given + 0.7 * thought)
    assert torch.equal(inputs, source.cut(rows)[0])
    assert not labels.requires_grad
