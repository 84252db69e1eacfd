"""Data sets, one file each, beside folders of what they are made with.

What this package exports is the catalogue.
"""

from mmpareto.data._arrays import Arrays as Arrays
from mmpareto.data._av_digits import AVDigits as AVDigits
from mmpareto.data._cg_digits import CGDigits as CGDigits
from mmpareto.data._cg_mnist import CGMNIST as CGMNIST
from mmpareto.data._cremad import CREMAD as CREMAD
from mmpareto.data._dataset import Batch as Batch
from mmpareto.data._dataset import EpochIndices as EpochIndices
from mmpareto.data._dataset import MultimodalDataset as MultimodalDataset
from mmpareto.data._dataset import Splits as Splits
from mmpareto.data._kinetics_sounds import KineticsSounds as KineticsSounds
from mmpareto.data._leaves100 import Leaves100 as Leaves100
from mmpareto.data._manifest import Manifest as Manifest
from mmpareto.data._mfeat import MFeat as MFeat
from mmpareto.data._modelnet40 import ModelNet40 as ModelNet40
from mmpareto.data._omniglot import Omniglot as Omniglot
from mmpareto.data._recipe import DatasetRecipe as DatasetRecipe
from mmpareto.data._recipe import Finding as Finding
from mmpareto.data._recipe import Findings as Findings
from mmpareto.data._recipe import Progress as Progress
from mmpareto.data.samples._transform import PendingBatch as PendingBatch
