"""One training step, from losses to one balanced gradient in ``.grad``."""

from mmpareto.step._accumulation import Accumulation as Accumulation
from mmpareto.step._backward import backward as backward
from mmpareto.step._balanced_loss import BalancedLoss as BalancedLoss
from mmpareto.step._geometry import Geometry as Geometry
from mmpareto.step._report import EncoderReport as EncoderReport
from mmpareto.step._report import StepReport as StepReport
