"""Training with Lightning.

This package itself is light. `mmpareto.training.run.run`, which trains, imports Lightning.
"""

from mmpareto.optimizers import SGD as SGD
from mmpareto.training._class_scores import class_scores as class_scores
from mmpareto.training._class_scores import confusion as confusion
from mmpareto.training._class_scores import contributions as contributions
from mmpareto.training._config import NOT_IN_RESULT as NOT_IN_RESULT
from mmpareto.training._config import RunConfig as RunConfig
from mmpareto.training._config_file import describe as describe
from mmpareto.training._config_file import load_config as load_config
from mmpareto.training._config_file import save_config as save_config
from mmpareto.training._config_file import unchanged as unchanged
from mmpareto.training._device import Accelerator as Accelerator
from mmpareto.training._device import choose_device as choose_device
from mmpareto.training._evaluation import evaluate as evaluate
from mmpareto.training._evaluation import load_run as load_run
from mmpareto.training._evaluation import magnitudes as magnitudes
from mmpareto.training._evaluation import predict as predict
from mmpareto.training._export import export as export
from mmpareto.training._folder import FINISHED as FINISHED
from mmpareto.training._folder import METRICS as METRICS
from mmpareto.training._folder import Metrics as Metrics
from mmpareto.training._folder import check_data as check_data
from mmpareto.training._folder import check_same as check_same
from mmpareto.training._folder import is_finished as is_finished
from mmpareto.training._folder import stored_metrics as stored_metrics
from mmpareto.training._geometry_settings import GeometrySettings as GeometrySettings
from mmpareto.training._interface import guess_score as guess_score
from mmpareto.training._load import load as load
from mmpareto.training._predicted_rows import PredictedRows as PredictedRows
from mmpareto.training._predictions import Predictions as Predictions
from mmpareto.training._predictions import objectives as objectives
from mmpareto.training._schema import restore as restore
from mmpareto.training._schema import restore_fields as restore_fields
from mmpareto.training._switches import threads as threads
from mmpareto.training._trained_model import TrainedModel as TrainedModel
