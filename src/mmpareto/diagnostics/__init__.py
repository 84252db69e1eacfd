"""Measurements of a training, from the reports of its steps."""

from mmpareto.diagnostics._geometry_log import GeometryLog as GeometryLog
from mmpareto.diagnostics._geometry_log import GeometryRow as GeometryRow
