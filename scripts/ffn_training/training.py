"""The processes and the device that train, and the training itself: one optimiser step after another, and its state."""
import contextlib
import ctypes
import math
import os
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch

from . import examples
from .errors import BAD_ARGUMENTS, FAILED, Problem
from .network import Network


class Processes:
    """This process among those of torchrun; alone, every operation is trivial."""

    def __init__(self, device):
        self.rank, self.size = int(os.environ.get('RANK', 0)), int(os.environ.get('WORLD_SIZE', 1))
        if self.size > 1:
            torch.distributed.init_process_group('nccl' if device.type == 'cuda' else 'gloo')
            self.control = torch.distributed.new_group(backend='gloo')  # python objects travel by CPU

    def any(self, flag):
        if self.size == 1:
            return flag
        value = torch.tensor([int(flag)])
        torch.distributed.all_reduce(value, torch.distributed.ReduceOp.MAX, self.control)
        return bool(value)

    def gather(self, thing):
        if self.size == 1:
            return [thing]
        things = [None] * self.size if self.rank == 0 else None
        torch.distributed.gather_object(thing, things, 0, self.control)
        return things

    def from_first(self, thing):
        if self.size == 1:
            return thing
        things = [thing]
        torch.distributed.broadcast_object_list(things, 0, self.control)
        return things[0]

    def end(self):
        if self.size > 1:
            torch.distributed.destroy_process_group()

    def say(self, text):
        if self.rank == 0:
            print(text, file=sys.stderr, flush=True)


def choose_device(a):
    if a.threads:
        torch.set_num_threads(a.threads)
    have = torch.cuda.is_available()
    if a.device == 'cuda' and not have:
        raise Problem(BAD_ARGUMENTS, '--device cuda, but PyTorch finds no GPU', 'nvidia-smi; a PyTorch built for CUDA')
    if a.device == 'cpu' or not have:
        keep_heap()
        return torch.device('cpu'), f'CPU, {torch.get_num_threads()} threads'
    device = torch.device('cuda', int(os.environ.get('LOCAL_RANK', 0)))
    torch.cuda.set_device(device)
    torch.backends.cudnn.benchmark = True
    return device, f'GPU {device.index}, {torch.cuda.get_device_name(device)}'


def keep_heap():
    """Makes glibc keep freed memory: by default every tensor of a step over 128 KiB to 32 MiB may be given back to the
    system and faulted in again, which measured a fifth to a third of the training time."""
    with contextlib.suppress(OSError, AttributeError):
        libc = ctypes.CDLL(None)
        libc.mallopt(-3, 32 << 20)   # M_MMAP_THRESHOLD: the largest that glibc takes
        libc.mallopt(-1, 2**31 - 1)  # M_TRIM_THRESHOLD


def logit(p):
    return math.log(p / (1 - p))


def learning_rate(step, a):
    """Of the step-th step, from 0."""
    return a.lr * min(1, (step + 1) / max(1, a.warmup)) * .5 * (1 + math.cos(math.pi * step / a.steps))


class Training:
    """Network, averaged weights, optimiser, lanes, and the number of steps done."""

    def __init__(self, a, source, device, processes):
        self.a, self.source, self.geometry, self.device, self.processes = a, source, source.geometry, device, processes
        # Measured on CPUs: channels last is twice as fast in the backward pass.
        self.layout = torch.channels_last_3d if device.type == 'cpu' else torch.contiguous_format
        torch.manual_seed(a.seed)
        self.network = Network(a.depth, a.features).to(device, memory_format=self.layout)
        self.weights = list(self.network.parameters())
        self.average = [w.detach().clone() for w in self.weights]
        self.optimiser = torch.optim.Adam(self.weights, lr=a.lr, fused=True)
        self.model = self.network
        if processes.size > 1:
            self.model = torch.nn.parallel.DistributedDataParallel(self.network)
        self.pool = ThreadPoolExecutor(1)
        self.step, self.lanes = 0, None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.pool.shutdown(cancel_futures=True)  # else a process that fails first makes the examples it had ordered

    def start_lanes(self, states=None):
        states = states or [None] * self.a.batch
        self.lanes = [examples.Lane(self.source, self.pool, self.processes.rank, i, s) for i, s in enumerate(states)]

    def take_step(self):
        """One optimiser step; returns loss, and true positives, false positives, false negatives."""
        centres = [lane.next_centre() for lane in self.lanes]
        places = [(lane.example, lane.example.window(at)) for lane, at in zip(self.lanes, centres)]
        image = np.stack([e.image[w] for e, w in places])
        old = np.stack([e.map[w] for e, w in places])
        target = np.stack([e.target[w] for e, w in places])
        seen = np.where(np.isnan(old), np.float32(self.geometry.pad), old)
        new, loss = self.optimise(np.stack([image, seen], 1), target[:, None])
        new = examples.hold_negatives(old, new, self.geometry)
        for lane, at, logits in zip(self.lanes, centres, new):
            lane.example.store(at, logits)
        found, true = new >= logit(self.a.segment_threshold), target > .5
        return loss, np.array([np.sum(found & true), np.sum(found & ~true), np.sum(~found & true)])

    def optimise(self, inputs, target):
        inputs = torch.from_numpy(inputs).to(self.device, memory_format=self.layout)
        logits = self.model(inputs)
        loss = torch.nn.functional.binary_cross_entropy_with_logits(logits, torch.from_numpy(target).to(self.device))
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        if self.a.clip:
            torch.nn.utils.clip_grad_norm_(self.weights, self.a.clip)
        for group in self.optimiser.param_groups:
            group['lr'] = learning_rate(self.step, self.a)
        self.optimiser.step()
        self.step += 1
        self.update_average()
        value = loss.item()
        if not math.isfinite(value):
            raise Problem(FAILED, f'the loss is not finite at step {self.step}', 'a lower --lr in a new --work folder')
        return logits.detach()[:, 0].cpu().numpy(), value

    @torch.no_grad()
    def update_average(self):
        keep = min(self.a.ema, self.step / (self.step + 10))  # forgets the random beginning
        for average, weight in zip(self.average, self.weights):
            average.lerp_(weight, 1 - keep) if self.a.ema else average.copy_(weight)

    def state(self, gathered):
        return dict(step=self.step, weights=[w.detach() for w in self.weights], average=self.average,
                    optimiser=self.optimiser.state_dict(), lanes=gathered)

    def lane_states(self):
        """The example streams need no other state of random numbers: each example's are made from its number."""
        states = [lane.state() for lane in self.lanes]
        return [s and dict(s, map=torch.from_numpy(s['map'])) for s in states]

    @torch.no_grad()
    def restore(self, state):
        self.step = state['step']
        for mine, saved in ((self.weights, state['weights']), (self.average, state['average'])):
            for to, value in zip(mine, saved):
                to.copy_(value)
        self.optimiser.load_state_dict(state['optimiser'])
        if self.step < self.a.steps:
            lanes = state['lanes'][self.processes.rank]
            self.start_lanes([s and dict(s, map=s['map'].numpy()) for s in lanes])
