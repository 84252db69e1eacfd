import os

# Trainings are compared to the bit, also with such as were made elsewhere: they are the processor's
# wherever the tests run, but for those of `make gpu`, which sets this.
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")

import torch
from hypothesis import settings

torch.set_num_threads(1)

# The same examples on every machine and in every run; a slow machine is no failure.
settings.register_profile("mmpareto", deadline=None, derandomize=True, database=None)
settings.load_profile("mmpareto")
