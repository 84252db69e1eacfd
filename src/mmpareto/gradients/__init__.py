"""From losses to gradients, their geometry, and back into ``.grad``. Torch only."""

from mmpareto.gradients._collect import Gradients as Gradients
from mmpareto.gradients._collect import collect as collect
from mmpareto.gradients._collect import collect_above as collect_above
from mmpareto.gradients._collect import collect_below as collect_below
from mmpareto.gradients._collect import collect_by_backward as collect_by_backward
from mmpareto.gradients._combine import accumulate as accumulate
from mmpareto.gradients._combine import add as add
from mmpareto.gradients._combine import combine as combine
from mmpareto.gradients._cut import Cut as Cut
from mmpareto.gradients._cut import cut as cut
from mmpareto.gradients._geometry import conflict as conflict
from mmpareto.gradients._geometry import cosine as cosine
from mmpareto.gradients._geometry import gramians as gramians
from mmpareto.gradients._geometry import nonzero as nonzero
from mmpareto.gradients._geometry import norms as norms
from mmpareto.gradients._graph import leaves as leaves
