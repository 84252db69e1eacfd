"""The command line. What a command needs beyond its options it imports when it runs."""

from mmpareto.cli._main import main as main
