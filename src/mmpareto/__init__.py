"""Balanced multimodal learning: one call in place of ``loss.backward()``."""

from mmpareto._load import load as load
from mmpareto.balancing import IMTLG as IMTLG
from mmpareto.balancing import MGDA as MGDA
from mmpareto.balancing import AlignedMTL as AlignedMTL
from mmpareto.balancing import CAGrad as CAGrad
from mmpareto.balancing import ConFIG as ConFIG
from mmpareto.balancing import DualProj as DualProj
from mmpareto.balancing import GradientIntegration as GradientIntegration
from mmpareto.balancing import Joint as Joint
from mmpareto.balancing import LossWeighting as LossWeighting
from mmpareto.balancing import Method as Method
from mmpareto.balancing import MMPareto as MMPareto
from mmpareto.balancing import NashMTL as NashMTL
from mmpareto.balancing import PCGrad as PCGrad
from mmpareto.balancing import ScaledUniform as ScaledUniform
from mmpareto.balancing import Uniform as Uniform
from mmpareto.balancing import UPGrad as UPGrad
from mmpareto.errors import MMParetoError as MMParetoError
from mmpareto.partition import Partition as Partition
from mmpareto.step import Accumulation as Accumulation
from mmpareto.step import BalancedLoss as BalancedLoss
from mmpareto.step import EncoderReport as EncoderReport
from mmpareto.step import Geometry as Geometry
from mmpareto.step import StepReport as StepReport
from mmpareto.step import backward as backward

__version__ = "0.1.0"
