"""Optimizers, one file each, and how the learning rate changes. Needs torch alone.

What this package exports is the catalogue.
"""

from mmpareto.optimizers._adamw import AdamW as AdamW
from mmpareto.optimizers._optimizer import Optimizer as Optimizer
from mmpareto.optimizers._optimizer import parameter_groups as parameter_groups
from mmpareto.optimizers._schedule import Schedule as Schedule
from mmpareto.optimizers._sgd import SGD as SGD
from mmpareto.optimizers._torch_optimizer import TorchOptimizer as TorchOptimizer
