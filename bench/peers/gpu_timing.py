"""How a peer's work on a GPU is timed: as PyTorch queues it, and once more from a CUDA graph, where
the host's launches cost nothing; and the rows that our own benchmarks print in the same run.

Sets of operands take turns, so that none is found in the cache.
"""

import re
import statistics
import subprocess
from typing import NamedTuple

import torch

REPEATS, WARM_UPS, SETS = 20, 3, 3


class Milliseconds(NamedTuple):
    """The median of repetitions, and their spread."""

    median: float
    least: float
    most: float

    def __str__(self):
        return f"{self.median:.3f} ({self.least:.3f} to {self.most:.3f})"


def milliseconds(work):
    """Times work(set) with events."""
    times = []
    for i in range(WARM_UPS + REPEATS):
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        begin.record()
        work(i % SETS)
        end.record()
        end.synchronize()
        if i >= WARM_UPS:
            times.append(begin.elapsed_time(end))
    return Milliseconds(statistics.median(times), min(times), max(times))


def recorded(work):
    """The same work from a CUDA graph for each set; what they leave in memory they share."""
    graphs = []
    for i in range(SETS):
        work(i)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=graphs[0].pool() if graphs else None,
                              stream=torch.cuda.current_stream()):
            work(i)
        graphs.append(graph)
    return lambda i: graphs[i].replay()


def queued_and_recorded(work):
    return milliseconds(work), milliseconds(recorded(work))


def own_stream():
    """For all the work: a graph records one stream, and the default one cannot be recorded."""
    return torch.cuda.stream(torch.cuda.Stream())


def rows(build, program, pattern):
    """Runs a benchmark of ours, prints what it prints, and gives the matches of its rows."""
    text = subprocess.run([f"{build}/{program}"], capture_output=True, text=True, check=True).stdout
    print(text, flush=True)
    return [match for line in text.splitlines() if (match := re.match(pattern, line))]
