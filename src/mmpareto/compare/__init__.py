"""Methods times seeds on one data set: trainings, statistics, figures and a report."""

from mmpareto.compare._cell import SET_BY_GRID as SET_BY_GRID
from mmpareto.compare._cell import Cell as Cell
from mmpareto.compare._cell import method_names as method_names
from mmpareto.compare._claimed_run import run_claimed as run_claimed
from mmpareto.compare._console import print_table as print_table
from mmpareto.compare._grid import compare as compare
from mmpareto.compare._report import write_report as write_report
from mmpareto.compare._roles import ROLES as ROLES
from mmpareto.compare._space import DEFAULT_SPACE as DEFAULT_SPACE
from mmpareto.compare._tuning import tune as tune
from mmpareto.compare._tuning_report import tuning_rows as tuning_rows
from mmpareto.compare._tuning_report import write_tuning_report as write_tuning_report
