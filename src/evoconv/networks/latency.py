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

    The network is on the CPU and runs on one thread of it, as in a small device, wherever and with
    however many threads it is trained; its mode is left as it was.
    """
    image = torch.zeros(1, *input_shape)
    was_training, num_threads = network.training, torch.get_num_threads()
    network.eval()
    torch.set_num_threads(1)
    times = []
    try:
        for _ in range(_WARM_UP + RUNS):
            started = time.perf_counter()
            network(image)
            times.append(time.perf_counter() - started)
    finally:
        torch.set_num_threads(num_threads)
        network.train(was_training)
    return median(times[_WARM_UP:])
