"""Ready models, one file each. What this package exports is the catalogue."""

from mmpareto.models._late_fusion import LateFusion as LateFusion
from mmpareto.models._late_fusion import LateFusionCNN as LateFusionCNN
from mmpareto.models._output import Output as Output
from mmpareto.models._recipe import ModelRecipe as ModelRecipe
from mmpareto.models._recipe import MultimodalModel as MultimodalModel
