"""What a sample of a modality looks like, and what is predicted."""

from mmpareto.specs._shapes import Shape as Shape
from mmpareto.specs._shapes import Text as Text
from mmpareto.specs._targets import Classes as Classes
from mmpareto.specs._targets import Labels as Labels
from mmpareto.specs._targets import Number as Number
from mmpareto.specs._targets import Target as Target
