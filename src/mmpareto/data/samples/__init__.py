"""From cached arrays to samples and batches, with the random changes of training."""
