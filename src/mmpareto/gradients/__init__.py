"""From losses to gradients, their geometry, and back into ``.grad``. Torch only."""

from mmpareto.gradients._collect import Gradients as Gradients
from mmpareto.gradients._collect import collect as collect
from mmpareto.gradients._collect import collect_below as collect_below
from mmpareto.gradients._collect import collect_by_backward as collect_by_backward
from mmpareto.gradients._collect import grads_put_aside as grads_put_aside
from mmpareto.gradients._combine import accumulate as accumulate
from mmpareto.gradients._combine import add as add
from mmpareto.gradients._combine import combine as combine
from mmpareto.gradients._cut import GraphCut as GraphCut
from mmpareto.gradients._cut import cut_graph as cut_graph
from mmpareto.gradients._gramian import conflict as conflict
from mmpareto.gradients._gramian import cosine as cosine
from mmpareto.gradients._gramian import gramians as gramians
from mmpareto.gradients._gramian import nonzero as nonzero
from mmpareto.gradients._gramian import norms as norms
from mmpareto.gradients._graph import Trace as Trace
from mmpareto.gradients._graph import trace as trace
from mmpareto.gradients._sides import Sides as Sides
from mmpareto.gradients._sides import objective_weights as objective_weights
from mmpareto.gradients._sides import side_gramians as side_gramians
from mmpareto.gradients._torch_compat import deepspeed_stage as deepspeed_stage
from mmpareto.gradients._torch_compat import has_accumulation_hooks as has_accumulation_hooks
from mmpareto.gradients._torch_compat import in_backward_pass as in_backward_pass
from mmpareto.gradients._torch_compat import is_passed_too as is_passed_too
from mmpareto.gradients._torch_compat import keeps_graph as keeps_graph
from mmpareto.gradients._torch_compat import not_compiled as not_compiled
