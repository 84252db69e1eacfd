"""Balancing methods, one file each. What this package exports is the catalogue."""

from mmpareto.balancing._aligned_mtl import AlignedMTL as AlignedMTL
from mmpareto.balancing._cagrad import CAGrad as CAGrad
from mmpareto.balancing._conflict_free import ConFIG as ConFIG
from mmpareto.balancing._dualproj import DualProj as DualProj
from mmpareto.balancing._facts import Facts as Facts
from mmpareto.balancing._facts import Range as Range
from mmpareto.balancing._imtlg import IMTLG as IMTLG
from mmpareto.balancing._joint import Joint as Joint
from mmpareto.balancing._method import CustomWeighting as CustomWeighting
from mmpareto.balancing._method import GradientIntegration as GradientIntegration
from mmpareto.balancing._method import GramianWeighting as GramianWeighting
from mmpareto.balancing._method import LossWeighting as LossWeighting
from mmpareto.balancing._method import Method as Method
from mmpareto.balancing._method import as_method as as_method
from mmpareto.balancing._method import check_required as check_required
from mmpareto.balancing._method import describe as describe
from mmpareto.balancing._mgda import MGDA as MGDA
from mmpareto.balancing._mmpareto import MMPareto as MMPareto
from mmpareto.balancing._nash_mtl import NashMTL as NashMTL
from mmpareto.balancing._pcgrad import PCGrad as PCGrad
from mmpareto.balancing._torchjd import TorchJD as TorchJD
from mmpareto.balancing._uniform import ScaledUniform as ScaledUniform
from mmpareto.balancing._uniform import Uniform as Uniform
from mmpareto.balancing._upgrad import UPGrad as UPGrad
