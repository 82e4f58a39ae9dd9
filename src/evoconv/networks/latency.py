"""How long a network takes for one image."""

import time
from statistics import median

import torch
from torch import nn

RUNS = 50
_WARM_UP = 5  # the first few allocate memory and choose kernels


@torch.inference_mode()
def latency_s(network: nn.Module, input_shape: tuple[int, int, int]) -> float:
    """Return the median of ``RUNS`` times, in seconds, for one image of shape (C, H, W).

    It is taken where the network is, with as many threads as torch has; the mode of the network is
    left as it was.
    """
    device = next(network.parameters()).device
    image = torch.zeros(1, *input_shape, device=device)
    was_training = network.training
    network.eval()
    times = []
    for _ in range(_WARM_UP + RUNS):
        started = time.perf_counter()
        network(image)
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        times.append(time.perf_counter() - started)
    network.train(was_training)
    return median(times[_WARM_UP:])
