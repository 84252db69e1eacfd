"""From the gradients of one process to those of all. Torch only.

Every objective's gradient is averaged over the processes before anything is decided on it, so that
all take the same decision. Processes agree on what a step consists of through their hosts; no
device is waited for.
"""

from mmpareto.distributed._group import Group as Group
from mmpareto.distributed._group import shard as shard
from mmpareto.distributed._ranks import Ranks as Ranks
