"""From the gradients of one process to those of all. Torch only.

Every objective's gradient is averaged over the processes before anything is decided on it, so that
all take the same decision. Processes agree on what a step consists of through their hosts; no
device is waited for.
"""

from mmpareto.distributed._agreement import agree as agree
from mmpareto.distributed._agreement import announce as announce
from mmpareto.distributed._agreement import unite as unite
from mmpareto.distributed._averaging import fills_bucket as fills_bucket
from mmpareto.distributed._communicator import Communicator as Communicator
from mmpareto.distributed._communicator import Finish as Finish
from mmpareto.distributed._group import Group as Group
from mmpareto.distributed._group import place as place
from mmpareto.distributed._group import shard as shard
from mmpareto.distributed._group import spread as spread
from mmpareto.distributed._group import sum_over as sum_over
from mmpareto.distributed._shares import Shares as Shares
