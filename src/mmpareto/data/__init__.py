"""Data sets, one file each. What this package exports is the catalogue."""

from mmpareto.data._cg_digits import CGDigits as CGDigits
from mmpareto.data._cg_mnist import CGMNIST as CGMNIST
from mmpareto.data._recipe import Batch as Batch
from mmpareto.data._recipe import DatasetRecipe as DatasetRecipe
from mmpareto.data._recipe import MultimodalDataset as MultimodalDataset
from mmpareto.data._recipe import Splits as Splits
