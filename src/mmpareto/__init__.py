"""Balanced multimodal learning: one call in place of ``loss.backward()``."""

from mmpareto._load import load as load
from mmpareto.balancing import AGM as AGM
from mmpareto.balancing import DGL as DGL
from mmpareto.balancing import IMTLG as IMTLG
from mmpareto.balancing import LFM as LFM
from mmpareto.balancing import MGDA as MGDA
from mmpareto.balancing import MLA as MLA
from mmpareto.balancing import MLB as MLB
from mmpareto.balancing import OGMGE as OGMGE
from mmpareto.balancing import OPM as OPM
from mmpareto.balancing import PMR as PMR
from mmpareto.balancing import UMT as UMT
from mmpareto.balancing import AlignedMTL as AlignedMTL
from mmpareto.balancing import Balancer as Balancer
from mmpareto.balancing import CAGrad as CAGrad
from mmpareto.balancing import ConFIG as ConFIG
from mmpareto.balancing import DualProj as DualProj
from mmpareto.balancing import Ensemble as Ensemble
from mmpareto.balancing import GBlending as GBlending
from mmpareto.balancing import GradientIntegration as GradientIntegration
from mmpareto.balancing import InfoReg as InfoReg
from mmpareto.balancing import Joint as Joint
from mmpareto.balancing import LossWeighting as LossWeighting
from mmpareto.balancing import Method as Method
from mmpareto.balancing import MMCosine as MMCosine
from mmpareto.balancing import MMPareto as MMPareto
from mmpareto.balancing import ModalityDropout as ModalityDropout
from mmpareto.balancing import NashMTL as NashMTL
from mmpareto.balancing import PCGrad as PCGrad
from mmpareto.balancing import Relearning as Relearning
from mmpareto.balancing import ScaledUniform as ScaledUniform
from mmpareto.balancing import Setup as Setup
from mmpareto.balancing import Survey as Survey
from mmpareto.balancing import Uniform as Uniform
from mmpareto.balancing import UPGrad as UPGrad
from mmpareto.balancing import View as View
from mmpareto.errors import MMParetoError as MMParetoError
from mmpareto.partition import Partition as Partition
from mmpareto.step import Accumulation as Accumulation
from mmpareto.step import BalancedLoss as BalancedLoss
from mmpareto.step import EncoderReport as EncoderReport
from mmpareto.step import Geometry as Geometry
from mmpareto.step import StepReport as StepReport
from mmpareto.step import backward as backward

__version__ = "0.1.0"
