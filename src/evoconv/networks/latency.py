"""How long a network takes for one image."""

import time
from statistics import median

import torch
from torch import nn

from evoconv.networks.evaluation_mode import in_evaluation

RUNS = 50
_WARM_UP = 5  # the first few allocate memory and choose kernels


@torch.inference_mode()
def latency_s(network: nn.Module, input_shape: tuple[int, int, int]) -> float:
    """Return the median of ``RUNS`` times, in seconds, for one image of shape (C, H, W).

    The network is on the CPU and runs on one thread of it, as in a small device, wherever and with
    however many threads it is trained; its modes are left as they were.
    """
    image = torch.zeros(1, *input_shape)
    num_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    times = []
    try:
        with in_evaluation(network):
            for _ in range(_WARM_UP + RUNS):
                started = time.perf_counter()
                network(image)
                times.append(time.perf_counter() - started)
    finally:
        torch.set_num_threads(num_threads)
    return median(times[_WARM_UP:])
