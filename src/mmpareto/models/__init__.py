"""Ready models, one file each. What this package exports is the catalogue."""

from mmpareto.models._bottleneck import BottleneckFusion as BottleneckFusion
from mmpareto.models._bottleneck import BottleneckTransformer as BottleneckTransformer
from mmpareto.models._ensemble import Ensemble as Ensemble
from mmpareto.models._exchange import Exchange as Exchange
from mmpareto.models._film import FiLM as FiLM
from mmpareto.models._film import FiLMFusionCNN as FiLMFusionCNN
from mmpareto.models._fusion import Concatenation as Concatenation
from mmpareto.models._fusion import Fusion as Fusion
from mmpareto.models._fusion import Sum as Sum
from mmpareto.models._gated import Gated as Gated
from mmpareto.models._gated import GatedFusionCNN as GatedFusionCNN
from mmpareto.models._late_fusion import LateFusion as LateFusion
from mmpareto.models._late_fusion import LateFusionCNN as LateFusionCNN
from mmpareto.models._mmtm import MMTM as MMTM
from mmpareto.models._mmtm import MMTMCNN as MMTMCNN
from mmpareto.models._output import Output as Output
from mmpareto.models._recipe import ModelRecipe as ModelRecipe
from mmpareto.models._recipe import MultimodalModel as MultimodalModel
from mmpareto.models._recipe import can_split as can_split
from mmpareto.models._sum_fusion import SumFusionCNN as SumFusionCNN
from mmpareto.models._tokens import TokenEncoder as TokenEncoder
